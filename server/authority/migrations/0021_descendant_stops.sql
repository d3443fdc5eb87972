-- Tokens whose descendants are being stopped, and imports that named a secret of another workspace. Expands only: a
-- server of version 0.1 neither reads nor writes these tables.

-- A token that was stopped and whose descendants are to be stopped with it. The row is written together with the stop
-- of the token, and removed when no descendant is left to be stopped: whatever happens to a server in between, another
-- one goes on. Until then no descendant changes tokens.
CREATE TABLE descendant_stops (
    id           uuid        CONSTRAINT descendant_stops_pkey PRIMARY KEY,
    -- No reference: a lock of the workspace's row must not wait for one of the end of its audit chain.
    workspace_id uuid        NOT NULL,
    token_id     uuid        NOT NULL CONSTRAINT descendant_stops_token_id_fkey REFERENCES tokens (id),
    action       text        NOT NULL CONSTRAINT descendant_stops_action_known CHECK (action IN ('disable', 'expire', 'end_by', 'delete')),
    -- The latest end of the descendants, for 'end_by'.
    ends_at      timestamptz CONSTRAINT descendant_stops_end_by_has_end CHECK ((action = 'end_by') = (ends_at IS NOT NULL)),
    -- The only user whose tokens are stopped; empty is everybody's.
    own          uuid,
    -- The user who stops them. No reference, because people can be removed meanwhile.
    stopped_by   uuid,
    -- Whether a rule of policy stopped the token, and not a caller.
    by_policy    boolean     NOT NULL,
    -- Who asked, as the audit rows of the descendants tell it.
    author       jsonb       NOT NULL,
    -- Until then, by the database's clock, the server that began goes on.
    worked_until timestamptz NOT NULL
);
CREATE INDEX descendant_stops_by_workspace ON descendant_stops (workspace_id);

-- The descendants of a token are found through deleted tokens, too.
CREATE INDEX tokens_by_any_parent ON tokens (parent_id) WHERE parent_id IS NOT NULL;

-- Imports that named the digest of a secret of another workspace. An import tells whether a secret exists, so a caller
-- and a workspace may make only a few of them in a day.
CREATE TABLE import_collisions (
    id           uuid        CONSTRAINT import_collisions_pkey PRIMARY KEY,
    workspace_id uuid        NOT NULL CONSTRAINT import_collisions_workspace_id_fkey REFERENCES workspaces (id) ON DELETE CASCADE,
    -- The user who asked, or whose token did; empty for the command line.
    user_id      uuid,
    at           timestamptz NOT NULL
);
CREATE INDEX import_collisions_by_workspace ON import_collisions (workspace_id, at);
CREATE INDEX import_collisions_by_user ON import_collisions (user_id, at);
