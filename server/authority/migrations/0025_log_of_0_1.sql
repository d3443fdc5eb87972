-- What servers of version 0.1 do to tokens binds as if this version had done it: an earlier end, addresses, a rate limit
-- and a beginning that an administrator sets, who disables or ends a token, and which token makes which. Their rows in
-- the audit log say so; those of this version have `grants`. Expands only.

-- A moment as the log writes it; NULL where it cannot be read, so that no server of 0.1 fails because of it.
CREATE FUNCTION moment_in_log(noted text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN noted::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- A stop by a server of 0.1 counts as one by an administrator until its row of the log is read, in the same transaction.
-- The setting says so to the function below; it ends with the transaction.
CREATE OR REPLACE FUNCTION tokens_forget_stoppers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.enabled AND NOT OLD.enabled THEN
        NEW.disabled_by := NULL;
        NEW.disabled_as := NULL;
        NEW.disabled_by_token := NULL;
    ELSIF OLD.enabled AND NOT NEW.enabled THEN
        IF NEW.disabled_as IS NULL AND NEW.deleted_at IS NULL THEN
            NEW.disabled_as := 'administrator';
        END IF;
        IF NEW.disabled_by_token IS NOT DISTINCT FROM OLD.disabled_by_token THEN
            NEW.disabled_by_token := NULL;
        END IF;
    END IF;
    IF NEW.expires_at IS DISTINCT FROM OLD.expires_at THEN
        -- A server that knows the column sets it in a statement of its own, afterwards.
        NEW.ended_by_token := NULL;
        IF OLD.ended_as IS NULL AND NEW.ended_as IS NULL AND NEW.expires_at < COALESCE(OLD.expires_at, 'infinity')
           AND NEW.rotated_at IS NOT DISTINCT FROM OLD.rotated_at THEN
            NEW.ended_as := 'administrator';
            PERFORM set_config('tessera.end_is_guessed', NEW.id::text, true);
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- Notes on a token what one row of the log says. `was` and `noted` are the token before and after.
CREATE FUNCTION read_token_row(
    token uuid, act text, actor_kind text, actor uuid, was jsonb, noted jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    person uuid := CASE actor_kind
        WHEN 'token' THEN (SELECT t.user_id FROM tokens t WHERE t.id = actor)
        WHEN 'user' THEN (SELECT u.id FROM users u WHERE u.id = actor)
    END;
    -- Whose token it was then.
    owner uuid := COALESCE(
        (SELECT u.id FROM users u WHERE u.email = noted ->> 'user'), (SELECT t.user_id FROM tokens t WHERE t.id = token)
    );
    standing text := CASE WHEN actor_kind = 'anonymous' THEN 'policy' WHEN person = owner THEN 'owner' ELSE 'administrator' END;
    made boolean := act IN ('token.create', 'token.import');
    handed boolean := act = 'token.update' AND was ->> 'user' IS DISTINCT FROM noted ->> 'user';
    ends boolean := was ->> 'expires_at' IS DISTINCT FROM noted ->> 'expires_at';
    earlier boolean := COALESCE(moment_in_log(noted ->> 'expires_at') < COALESCE(moment_in_log(was ->> 'expires_at'), 'infinity'), false);
    guessed boolean := COALESCE(current_setting('tessera.end_is_guessed', true) = token::text, false);
    fixed jsonb;
    start timestamptz;
BEGIN
    IF made AND actor_kind = 'token' THEN
        UPDATE tokens t SET parent_id = p.id FROM tokens p
         WHERE t.id = token AND t.parent_id IS NULL AND p.id = actor AND p.workspace_id = t.workspace_id;
    END IF;

    IF act = 'token.disable' THEN
        UPDATE tokens SET disabled_by = person, disabled_as = standing WHERE id = token AND deleted_at IS NULL;
    ELSIF act = 'token.enable' THEN
        UPDATE tokens SET disabled_by = NULL, disabled_as = NULL WHERE id = token AND deleted_at IS NULL AND disabled_as IS NOT NULL;
    END IF;

    IF standing <> 'policy' AND (act = 'token.expire' OR act = 'token.update' AND ends AND earlier) THEN
        -- An administrator stays recorded, and so does somebody who owned the token before.
        UPDATE tokens SET ended_by = person, ended_as = standing
         WHERE id = token AND deleted_at IS NULL
           AND (guessed OR NOT COALESCE(ended_as = 'administrator' OR ended_as = 'owner' AND ended_by IS DISTINCT FROM owner, false));
    ELSIF act IN ('token.update', 'token.rotate') AND ends AND NOT earlier THEN
        UPDATE tokens SET ended_by = NULL, ended_as = NULL WHERE id = token AND deleted_at IS NULL AND ended_as IS NOT NULL;
    END IF;

    IF standing = 'administrator' AND (made OR act = 'token.update') THEN
        SELECT COALESCE(t.fixed_bounds, '{}') INTO fixed FROM tokens t WHERE t.id = token;
        IF made OR handed OR was -> 'ip_allow' IS DISTINCT FROM noted -> 'ip_allow' THEN
            fixed := fixed - 'ip_allow';
            IF jsonb_typeof(noted -> 'ip_allow') = 'array' AND noted -> 'ip_allow' <> '[]' THEN
                fixed := fixed || jsonb_build_object('ip_allow', noted -> 'ip_allow');
            END IF;
        END IF;
        IF made OR handed OR was -> 'rate_limit' IS DISTINCT FROM noted -> 'rate_limit' THEN
            fixed := fixed - 'rate_limit';
            IF jsonb_typeof(noted -> 'rate_limit') = 'object' THEN
                fixed := fixed || jsonb_build_object('rate_limit', noted -> 'rate_limit');
            END IF;
        END IF;
        IF made OR handed OR was ->> 'not_before' IS DISTINCT FROM noted ->> 'not_before' THEN
            fixed := fixed - 'not_before';
            start := moment_in_log(noted ->> 'not_before');
            IF start IS NOT NULL THEN
                fixed := fixed || jsonb_build_object(
                    'not_before', to_char(start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
                );
            END IF;
        END IF;
        UPDATE tokens SET fixed_bounds = NULLIF(fixed, '{}')
         WHERE id = token AND deleted_at IS NULL AND fixed_bounds IS DISTINCT FROM NULLIF(fixed, '{}');
    END IF;
END
$$;

-- Tokens whose log so far is still to be read. Tessera reads it afterwards, some tokens at a time: here all of them would be
-- locked until the last one is done.
CREATE TABLE tokens_with_unread_log (token_id uuid PRIMARY KEY);
-- Rows before the trigger below exists. The second time, inserts wait, and only what came meanwhile is looked at; changes
-- that were under way the first time may have taken their numbers before.
SELECT set_config('tessera.log_read_to', COALESCE(max(id), 0)::text, true) FROM audit_events;
INSERT INTO tokens_with_unread_log
SELECT DISTINCT e.subject_id FROM audit_events e JOIN tokens t ON t.id = e.subject_id AND t.deleted_at IS NULL
 WHERE e.action IN ('token.create', 'token.import', 'token.update', 'token.disable', 'token.enable', 'token.expire', 'token.rotate')
   AND NOT EXISTS (SELECT FROM audit_events n WHERE n.subject_id = e.subject_id AND n.after ? 'grants');

-- Servers of 0.1 that still run.
CREATE FUNCTION audit_reads_token_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM read_token_row(NEW.subject_id, NEW.action, NEW.actor_kind, NEW.actor_id, NEW.before, NEW.after);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_events_token_of_0_1 AFTER INSERT ON audit_events FOR EACH ROW
    WHEN (NEW.action IN ('token.create', 'token.import', 'token.update', 'token.disable', 'token.enable', 'token.expire', 'token.rotate')
          AND NEW.subject_id IS NOT NULL AND NOT (NEW.after ? 'grants'))
    EXECUTE FUNCTION audit_reads_token_row();

INSERT INTO tokens_with_unread_log
SELECT DISTINCT e.subject_id FROM audit_events e JOIN tokens t ON t.id = e.subject_id AND t.deleted_at IS NULL
 WHERE e.id > current_setting('tessera.log_read_to')::bigint - 100000
   AND e.action IN ('token.create', 'token.import', 'token.update', 'token.disable', 'token.enable', 'token.expire', 'token.rotate')
   AND NOT EXISTS (SELECT FROM audit_events n WHERE n.subject_id = e.subject_id AND n.after ? 'grants')
ON CONFLICT DO NOTHING;
