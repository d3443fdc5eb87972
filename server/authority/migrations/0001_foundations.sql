-- The first tables. Append-only: a later change is a later file, and expands before it contracts.
--
-- Choices that hold everywhere:
--  * ids are UUID version 7, made by the program (RFC 9562 section 5.7): ordered by time, so that
--    inserts touch the right-hand edge of their indexes.
--  * times come from the program, too: one clock decides, and tests can set it.
--  * an invariant that SQL can state is stated here, under a name that the program maps to an error.
--  * nothing but what PostgreSQL-compatible engines accept: no triggers, no exclusion constraints,
--    no advisory locks, no extensions.

-- One row: this deployment. It exists once set-up is complete.
CREATE TABLE instance (
    singleton   boolean     PRIMARY KEY DEFAULT true CONSTRAINT instance_is_one CHECK (singleton),
    name        text        NOT NULL CONSTRAINT instance_name_present CHECK (name <> ''),
    -- Recognises the keys file: a MAC of a constant under the pepper, so that a server started with
    -- other keys refuses to run instead of refusing every token.
    key_check   bytea       NOT NULL,
    created_at  timestamptz NOT NULL
);

-- The one-time link of a first start. Only its digest is kept.
CREATE TABLE setup_links (
    singleton   boolean     PRIMARY KEY DEFAULT true CONSTRAINT setup_link_is_one CHECK (singleton),
    digest      bytea       NOT NULL CONSTRAINT setup_digest_length CHECK (octet_length(digest) = 32),
    expires_at  timestamptz NOT NULL
);

CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    kind          text        NOT NULL CONSTRAINT users_kind_known CHECK (kind IN ('person', 'service')),
    -- Lower case: the program parses it so, and the constraint keeps two spellings from being two users.
    email         text        NOT NULL CONSTRAINT users_email_lower CHECK (email = lower(email) AND email <> ''),
    name          text        NOT NULL CONSTRAINT users_name_present CHECK (name <> ''),
    -- PHC string (argon2id); a service account has none, for it never signs in.
    password_hash text,
    instance_role text        NOT NULL CONSTRAINT users_role_known CHECK (instance_role IN ('owner', 'admin', 'auditor', 'member')),
    enabled       boolean     NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT users_email_unique UNIQUE (email),
    CONSTRAINT users_service_never_signs_in CHECK (kind = 'person' OR password_hash IS NULL)
);

CREATE TABLE workspaces (
    id          uuid        PRIMARY KEY,
    slug        text        NOT NULL CONSTRAINT workspaces_slug_form CHECK (slug ~ '^[a-z0-9][a-z0-9._-]*(@[a-z0-9][a-z0-9._-]*)?$'),
    name        text        NOT NULL CONSTRAINT workspaces_name_present CHECK (name <> ''),
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT workspaces_slug_unique UNIQUE (slug)
);

CREATE TABLE memberships (
    workspace_id uuid        NOT NULL REFERENCES workspaces (id),
    user_id      uuid        NOT NULL REFERENCES users (id),
    role         text        NOT NULL CONSTRAINT memberships_role_known CHECK (role IN ('admin', 'member', 'viewer', 'verifier')),
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

-- The rules of the instance (workspace_id is null) or of one workspace. A null rule is left to the level above.
CREATE TABLE policies (
    id            uuid        PRIMARY KEY,
    workspace_id  uuid        REFERENCES workspaces (id),
    max_tokens    bigint      CONSTRAINT policies_max_tokens_sane CHECK (max_tokens >= 0),
    default_ttl_s bigint      CONSTRAINT policies_default_ttl_positive CHECK (default_ttl_s > 0),
    max_ttl_s     bigint      CONSTRAINT policies_max_ttl_positive CHECK (max_ttl_s > 0),
    allow_never   boolean,
    prefix        text        CONSTRAINT policies_prefix_form CHECK (prefix ~ '^[a-z][a-z0-9]{0,15}$'),
    unique_names  boolean,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT policies_one_per_workspace UNIQUE (workspace_id)
);
-- UNIQUE lets any number of nulls through; the instance has one policy at most.
CREATE UNIQUE INDEX policies_one_for_instance ON policies ((workspace_id IS NULL)) WHERE workspace_id IS NULL;

CREATE TABLE audiences (
    id          uuid        PRIMARY KEY,
    slug        text        NOT NULL CONSTRAINT audiences_slug_form CHECK (slug ~ '^[a-z0-9][a-z0-9._-]*$'),
    name        text        NOT NULL CONSTRAINT audiences_name_present CHECK (name <> ''),
    description text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT audiences_slug_unique UNIQUE (slug)
);

CREATE TABLE scopes (
    audience_id   uuid    NOT NULL REFERENCES audiences (id),
    name          text    NOT NULL CONSTRAINT scopes_name_form CHECK (name ~ '^[a-z0-9._-]+(:[a-z0-9._-]+)*$'),
    description   text    NOT NULL DEFAULT '',
    risk          text    NOT NULL CONSTRAINT scopes_risk_known CHECK (risk IN ('read', 'write', 'admin')),
    -- As the catalogue declares it, one step.
    implies       text[]  NOT NULL DEFAULT '{}',
    -- The same followed to its end, so that a verification needs one join and no recursion.
    implies_all   text[]  NOT NULL DEFAULT '{}',
    group_name    text    NOT NULL CONSTRAINT scopes_group_present CHECK (group_name <> ''),
    group_description text NOT NULL DEFAULT '',
    -- The order in which the tree shows it.
    position      integer NOT NULL,
    PRIMARY KEY (audience_id, name)
);

CREATE TABLE tokens (
    id               uuid        PRIMARY KEY,
    -- For clients that need an integer id.
    num              bigint      GENERATED ALWAYS AS IDENTITY,
    workspace_id     uuid        NOT NULL REFERENCES workspaces (id),
    user_id          uuid        NOT NULL REFERENCES users (id),
    -- Null when it was made on the command line.
    created_by       uuid        REFERENCES users (id),
    name             text        NOT NULL CONSTRAINT tokens_name_length CHECK (char_length(name) <= 128),
    description      text        NOT NULL DEFAULT '' CONSTRAINT tokens_description_length CHECK (char_length(description) <= 1000),
    -- As granted; what they imply is found at verification, so that a catalogue can change.
    scopes           text[]      NOT NULL,
    enabled          boolean     NOT NULL DEFAULT true,
    not_before       timestamptz,
    expires_at       timestamptz,
    -- CIDR in canonical text; empty is from anywhere.
    ip_allow         text[]      NOT NULL DEFAULT '{}',
    hint             text        NOT NULL CONSTRAINT tokens_hint_present CHECK (hint <> ''),
    -- The form that made it: sent twice, it makes one token.
    creation_key     uuid,
    last_used_at     timestamptz,
    last_used_ip     text,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    -- A tombstone keeps id, name and digest for good: it can never be used or made again.
    deleted_at       timestamptz,
    CONSTRAINT tokens_num_unique UNIQUE (num),
    CONSTRAINT tokens_creation_key_unique UNIQUE (workspace_id, creation_key),
    CONSTRAINT tokens_begin_before_end CHECK (not_before IS NULL OR expires_at IS NULL OR not_before < expires_at),
    CONSTRAINT tokens_deleted_are_disabled CHECK (deleted_at IS NULL OR NOT enabled)
);
-- The keyset of each order of the list; ids break ties. Tombstones are in none of them.
CREATE INDEX tokens_by_created ON tokens (workspace_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tokens_by_name ON tokens (workspace_id, lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX tokens_by_expiry ON tokens (workspace_id, (COALESCE(expires_at, 'infinity'::timestamptz)), id) WHERE deleted_at IS NULL;
CREATE INDEX tokens_by_user ON tokens (user_id) WHERE deleted_at IS NULL;

CREATE TABLE token_audiences (
    token_id    uuid NOT NULL REFERENCES tokens (id),
    audience_id uuid NOT NULL REFERENCES audiences (id),
    PRIMARY KEY (token_id, audience_id)
);
CREATE INDEX token_audiences_by_audience ON token_audiences (audience_id);

-- A token has one current secret and, while it rotates, an older one. Secrets are never stored:
-- digest = HMAC-SHA-256(pepper, SHA-256(secret)).
CREATE TABLE token_secrets (
    id             uuid        PRIMARY KEY,
    token_id       uuid        NOT NULL REFERENCES tokens (id),
    digest         bytea       NOT NULL CONSTRAINT token_secrets_digest_length CHECK (octet_length(digest) = 32),
    pepper_version smallint    NOT NULL CONSTRAINT token_secrets_pepper_positive CHECK (pepper_version > 0),
    current        boolean     NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL,
    -- The end of an older secret; the current one ends with its token.
    expires_at     timestamptz,
    CONSTRAINT token_secrets_digest_unique UNIQUE (digest),
    CONSTRAINT token_secrets_older_ends CHECK (current OR expires_at IS NOT NULL)
);
CREATE UNIQUE INDEX token_secrets_one_current ON token_secrets (token_id) WHERE current;
CREATE INDEX token_secrets_by_token ON token_secrets (token_id);

CREATE TABLE sessions (
    -- SHA-256 of what the cookie holds: reading the table does not sign anybody in.
    digest       bytea       PRIMARY KEY CONSTRAINT sessions_digest_length CHECK (octet_length(digest) = 32),
    user_id      uuid        NOT NULL REFERENCES users (id),
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    client_ip    text,
    user_agent   text        NOT NULL DEFAULT '',
    CONSTRAINT sessions_end_after_begin CHECK (expires_at > created_at)
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Failed sign-ins per account and per address, whether or not the account exists.
CREATE TABLE sign_in_throttles (
    -- MAC of the kind and the value: the table tells nobody which addresses were tried.
    key           bytea       PRIMARY KEY,
    failures      integer     NOT NULL CONSTRAINT sign_in_failures_positive CHECK (failures > 0),
    window_ends_at timestamptz NOT NULL
);
CREATE INDEX sign_in_throttles_by_end ON sign_in_throttles (window_ends_at);

-- One row per change, written in the change's own transaction.
CREATE TABLE audit_events (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    workspace_id uuid        REFERENCES workspaces (id),
    actor_kind   text        NOT NULL CONSTRAINT audit_actor_known CHECK (actor_kind IN ('anonymous', 'operator', 'user', 'token')),
    actor_id     uuid,
    -- The name that the actor had then.
    actor_name   text        NOT NULL,
    action       text        NOT NULL CONSTRAINT audit_action_form CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    subject_id   uuid,
    subject_name text        NOT NULL,
    surface      text        NOT NULL,
    client_ip    text,
    request_id   text        NOT NULL,
    before       jsonb,
    after        jsonb,
    CONSTRAINT audit_actor_has_id CHECK ((actor_kind IN ('user', 'token')) = (actor_id IS NOT NULL))
);
CREATE INDEX audit_events_by_workspace ON audit_events (workspace_id, id DESC);

-- One row per change that can narrow access; replicas that keep facts follow it.
CREATE TABLE revisions (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    kind         text        NOT NULL CONSTRAINT revisions_kind_known CHECK (kind IN ('token', 'user', 'membership', 'workspace', 'catalogue')),
    subject_id   uuid        NOT NULL
);
