-- People who lost rights, and whose knowledge of secrets is to be made worthless. Expands only: a server of version 0.1
-- neither reads nor writes the table.

-- A note that exposed tokens are to be disabled. The row is written together with the change that takes the rights away,
-- and removed when none of the tokens is left: if a server ends in between, another one goes on. Until then no such token
-- changes anything.
CREATE TABLE secret_stops (
    id           uuid        CONSTRAINT secret_stops_pkey PRIMARY KEY,
    -- The workspace whose tokens are disabled; empty is all workspaces. No reference: a lock of the workspace's row must
    -- not wait for one of the end of its audit chain.
    workspace_id uuid,
    -- The person who may know the secrets of the tokens.
    known_to     uuid,
    -- The user that the tokens act as, where they are not sought by who may know their secrets.
    acting_as    uuid,
    -- The user who made the change. No references, because people can be removed meanwhile.
    stopped_by   uuid,
    -- Who asked, as the audit rows of the tokens tell it.
    author       jsonb       NOT NULL,
    -- Until then, by the database's clock, the server that began goes on.
    worked_until timestamptz NOT NULL,
    CONSTRAINT secret_stops_one_person CHECK (num_nonnulls(known_to, acting_as) = 1)
);
