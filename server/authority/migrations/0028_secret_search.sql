-- Indexes for the search for secrets that a person may know: it follows the audit log from a token to those who got its
-- secret, and from a person to the tokens, and reads no other row. Expands only.

-- Who made, rotated or was shown the secret of a token.
CREATE INDEX audit_events_of_secrets ON audit_events (subject_id, at, id) INCLUDE (action, actor_kind, actor_id)
 WHERE action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal');
-- The tokens whose secrets somebody got.
CREATE INDEX audit_events_by_holder ON audit_events (actor_id, actor_kind, subject_id)
 WHERE action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal') AND actor_id IS NOT NULL;
-- The users that a token acted as, each of them without reading all changes of the token.
CREATE INDEX audit_events_of_users ON audit_events (subject_id, (before ->> 'user'), id) WHERE action = 'token.update';
-- The tokens that acted as a user.
CREATE INDEX audit_events_by_user ON audit_events ((before ->> 'user'), subject_id) WHERE action = 'token.update';
CREATE INDEX tokens_deleted_by_user ON tokens (user_id) WHERE deleted_at IS NOT NULL;

-- How many tokens a workspace imported within a day. So many do not count as guesses at unknown tokens.
CREATE TABLE import_allowances (
    workspace_id uuid        CONSTRAINT import_allowances_pkey PRIMARY KEY
                             CONSTRAINT import_allowances_workspace_id_fkey REFERENCES workspaces (id),
    -- The beginning of the day.
    since        timestamptz NOT NULL,
    imported     bigint      NOT NULL CONSTRAINT import_allowances_positive CHECK (imported > 0)
);
