-- The whole life of a token: rotation, recoverable tokens, import; wider policy and people; a chained
-- audit log; replies kept for retries; use per hour. Expands only: a server of the first version still
-- runs on it.

-- A number that grows with every change, for `ETag` and `If-Match`.
ALTER TABLE workspaces  ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE users       ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE memberships ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE policies    ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE audiences   ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE tokens      ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- A user who was removed keeps the row that tokens and audit rows point to, and its address.
ALTER TABLE users ADD COLUMN deleted_at timestamptz;
ALTER TABLE users ADD CONSTRAINT users_deleted_are_disabled CHECK (deleted_at IS NULL OR NOT enabled);

-- A name for a session that is no credential.
ALTER TABLE sessions ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT sessions_id_unique UNIQUE;

-- Patterns of the scopes that this member may put on tokens; null is what the role gives.
ALTER TABLE memberships ADD COLUMN grants text[];

ALTER TABLE policies
    -- Whether tokens may be made whose secret can be shown again.
    ADD COLUMN reveal       text    CONSTRAINT policies_reveal_known CHECK (reveal IN ('once', 'recoverable_allowed')),
    ADD COLUMN name_pattern text    CONSTRAINT policies_name_pattern_length CHECK (char_length(name_pattern) BETWEEN 1 AND 200),
    -- Whether members manage tokens of their own.
    ADD COLUMN self_service boolean,
    -- The longest time for which a rotated secret still works.
    ADD COLUMN max_grace_s  bigint  CONSTRAINT policies_max_grace_sane CHECK (max_grace_s >= 0),
    -- What happens to a token one of whose replaced secrets is presented after its end.
    ADD COLUMN on_reuse     text    CONSTRAINT policies_on_reuse_known CHECK (on_reuse IN ('record', 'disable')),
    -- The preset that these rules came from, for people.
    ADD COLUMN preset       text;

-- Scopes may be patterns of URIs (`table://my.app.**`) beside exact names.
ALTER TABLE scopes DROP CONSTRAINT scopes_name_form;
ALTER TABLE scopes ADD CONSTRAINT scopes_name_form
    CHECK (name ~ '^[a-z0-9._-]+(:[a-z0-9._-]+)*$' OR name ~ '^[a-z][a-z0-9+.-]*://[!-~]+$');
-- A retired scope is granted to nobody any more, but its name stays known.
ALTER TABLE scopes ADD COLUMN retired_at timestamptz;

ALTER TABLE tokens
    -- Fixed when it is made: whether its secret is kept sealed, too.
    ADD COLUMN recoverable       boolean NOT NULL DEFAULT false,
    ADD COLUMN tags              jsonb   NOT NULL DEFAULT '{}' CONSTRAINT tokens_tags_are_an_object CHECK (jsonb_typeof(tags) = 'object'),
    ADD COLUMN rotated_at        timestamptz,
    ADD COLUMN last_used_agent   text,
    -- The last time that one of its replaced secrets was presented after its end.
    ADD COLUMN reused_at         timestamptz;
CREATE INDEX tokens_by_scope ON tokens USING gin (scopes) WHERE deleted_at IS NULL;
CREATE INDEX tokens_by_last_use ON tokens (workspace_id, (COALESCE(last_used_at, '-infinity'::timestamptz)), id) WHERE deleted_at IS NULL;
-- The few among many that a list by state is asked for.
CREATE INDEX tokens_disabled ON tokens (workspace_id, created_at DESC, id DESC) WHERE deleted_at IS NULL AND NOT enabled;
CREATE INDEX tokens_scheduled ON tokens (workspace_id, not_before) WHERE deleted_at IS NULL AND enabled AND not_before IS NOT NULL;

-- How these are spread: of partial indexes the planner learns nothing, and would read the whole
-- workspace for the few tokens that a filter wants.
CREATE STATISTICS tokens_last_use ON (COALESCE(last_used_at, '-infinity'::timestamptz)) FROM tokens;
CREATE STATISTICS tokens_expiry ON (COALESCE(expires_at, 'infinity'::timestamptz)) FROM tokens;
-- Between infinity and the nearest time the planner guesses half a step of its histogram: with steps
-- of a hundredth it takes thirty tokens among a million for five thousand, and walks past all the others.
ALTER STATISTICS tokens_last_use SET STATISTICS 1000;
ALTER STATISTICS tokens_expiry SET STATISTICS 1000;
-- Likewise a scope that the sample leaves out passes for one that a token in four hundred holds.
ALTER TABLE tokens ALTER COLUMN scopes SET STATISTICS 1000;

ALTER TABLE token_secrets
    ADD COLUMN hint             text,
    -- Where it came from: made here, or a digest that another system held.
    ADD COLUMN origin           text    NOT NULL DEFAULT 'made' CONSTRAINT token_secrets_origin_known CHECK (origin IN ('made', 'imported')),
    -- The text under a key of its own, when the token is recoverable.
    ADD COLUMN sealed           bytea,
    ADD COLUMN seal_key_version smallint,
    ADD COLUMN first_used_at    timestamptz,
    -- The older secret also ends when the newer one is first used.
    ADD COLUMN ends_on_first_use boolean NOT NULL DEFAULT false,
    ADD COLUMN reused_at        timestamptz,
    ADD CONSTRAINT token_secrets_seal_has_key CHECK ((sealed IS NULL) = (seal_key_version IS NULL)),
    ADD CONSTRAINT token_secrets_only_older_end_early CHECK (NOT (current AND ends_on_first_use));
-- Whether there are any that another system made: without one, a text of another form is refused
-- without asking.
CREATE INDEX token_secrets_imported ON token_secrets (token_id) WHERE origin = 'imported';
-- Which secrets a key sealed, for changing that key.
CREATE INDEX token_secrets_by_seal ON token_secrets (seal_key_version) WHERE sealed IS NOT NULL;

-- The log is a chain for each workspace, and one for the instance: every row's MAC covers the row and
-- the MAC before it, under a key that the database does not hold.
ALTER TABLE audit_events
    ADD COLUMN chain       uuid,
    ADD COLUMN seq         bigint   CONSTRAINT audit_seq_positive CHECK (seq > 0),
    ADD COLUMN mac         bytea    CONSTRAINT audit_mac_length CHECK (octet_length(mac) = 32),
    ADD COLUMN key_version smallint,
    ADD CONSTRAINT audit_chained_whole CHECK ((chain IS NULL) = (seq IS NULL) AND (seq IS NULL) = (mac IS NULL) AND (mac IS NULL) = (key_version IS NULL)),
    ADD CONSTRAINT audit_seq_unique UNIQUE (chain, seq);
CREATE INDEX audit_events_by_subject ON audit_events (subject_id, id DESC) WHERE subject_id IS NOT NULL;

-- The end of each chain; the nil UUID is the instance's. Its own MAC makes a cut tail visible.
CREATE TABLE audit_heads (
    chain       uuid     PRIMARY KEY,
    seq         bigint   NOT NULL CONSTRAINT audit_head_seq_positive CHECK (seq >= 0),
    mac         bytea    NOT NULL CONSTRAINT audit_head_mac_length CHECK (octet_length(mac) = 32),
    seal        bytea    NOT NULL CONSTRAINT audit_head_seal_length CHECK (octet_length(seal) = 32),
    key_version smallint NOT NULL
);

-- Replies kept so that a repeated request changes nothing and gets the same answer.
CREATE TABLE idempotency_keys (
    -- MAC of who asks and the key that they chose.
    key          bytea       PRIMARY KEY CONSTRAINT idempotency_key_length CHECK (octet_length(key) = 32),
    -- MAC of method, path and body: another request under the same key is refused.
    request      bytea       NOT NULL CONSTRAINT idempotency_request_length CHECK (octet_length(request) = 32),
    -- Null while the first request is still in progress.
    status       smallint,
    -- The reply under the sealing key; it may hold a secret.
    reply        bytea,
    seal_key_version smallint,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    CONSTRAINT idempotency_reply_whole CHECK ((status IS NULL) = (reply IS NULL) AND (reply IS NULL) = (seal_key_version IS NULL))
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

CREATE TABLE usage_hours (
    token_id uuid        NOT NULL REFERENCES tokens (id),
    hour     timestamptz NOT NULL,
    allowed  bigint      NOT NULL DEFAULT 0 CONSTRAINT usage_allowed_sane CHECK (allowed >= 0),
    refused  bigint      NOT NULL DEFAULT 0 CONSTRAINT usage_refused_sane CHECK (refused >= 0),
    PRIMARY KEY (token_id, hour)
);
-- Counts are kept for a while only.
CREATE INDEX usage_hours_by_hour ON usage_hours (hour);
