-- Who gave people their passwords, and addresses that are found in every way of writing them. Expands only: a server of
-- version 0.1 ignores the columns, and the triggers do for it what it does not know.

-- The administrator who gave the person a password, or the link with which they chose one. It stays when the person
-- changes that password with the old one: whoever knew it may have changed it. Empty for owners of their own account,
-- for the command line, and where nobody knows.
COMMENT ON COLUMN users.password_set_by IS
    'The administrator from whom the password descends: they chose it, chose the one that it replaced, or made the link';

ALTER TABLE users
    -- The last row of the audit log when the person got a higher role and their password ended because of its giver: what
    -- the account did until then may have been the giver's doing. Secrets of tokens that it got may be with the giver.
    ADD COLUMN IF NOT EXISTS acts_count_after bigint,
    -- The address in the form in which two that look the same are one, made by Tessera. Empty until a row of a 0.1 server
    -- is read, and where another user has the same key: doctor names those.
    ADD COLUMN IF NOT EXISTS email_key text;
CREATE UNIQUE INDEX IF NOT EXISTS users_email_key_unique ON users (email_key);
CREATE INDEX IF NOT EXISTS users_without_email_key ON users (id) WHERE email_key IS NULL;

-- Passwords of 0.1 were chosen by whoever made the account, which the audit log knows: an administrator, the command
-- line, or for the first account its owner. Nobody could change them. `admin create` notes fewer fields than `user
-- create`: with it, people set up their own account. Rows with a key are of servers that note this themselves.
CREATE OR REPLACE FUNCTION read_giver(person uuid, giver_kind text, giver uuid, noted jsonb) RETURNS void LANGUAGE sql AS $$
    UPDATE users u
       SET must_change_password = CASE
               WHEN giver_kind = 'user' THEN giver <> person
               ELSE COALESCE(noted ? 'email', false)
           END AND NOT EXISTS (
               SELECT FROM audit_events c WHERE c.subject_id = person AND c.action = 'user.password_change'
           ),
           password_set_by = CASE
               WHEN giver_kind = 'user' AND giver <> person THEN (SELECT m.id FROM users m WHERE m.id = giver)
           END
     WHERE u.id = person AND u.password_hash IS NOT NULL AND u.password_set_by IS NULL AND u.email_key IS NULL
       AND NOT EXISTS (SELECT FROM audit_events r WHERE r.subject_id = person AND r.action = 'user.password_reset')
$$;
SELECT read_giver(a.subject_id, a.actor_kind, a.actor_id, a.after)
  FROM audit_events a WHERE a.action = 'user.create' AND a.subject_id IS NOT NULL;

-- Servers of 0.1 that still run insert people without a key, and then the row of the audit log.
CREATE OR REPLACE FUNCTION audit_reads_giver() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM read_giver(NEW.subject_id, NEW.actor_kind, NEW.actor_id, NEW.after);
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS audit_events_user_create ON audit_events;
CREATE TRIGGER audit_events_user_create AFTER INSERT ON audit_events FOR EACH ROW
    WHEN (NEW.action = 'user.create' AND NEW.subject_id IS NOT NULL)
    EXECUTE FUNCTION audit_reads_giver();
