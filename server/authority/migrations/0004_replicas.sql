-- Servers that share this database and keep facts about tokens in memory.

-- Locked by every change that leaves a row in `revisions`, last of all that it locks, so that their ids are
-- in the order of their commits: who has read up to one has read all before it.
CREATE TABLE revision_head (
    singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT revision_head_is_one CHECK (singleton)
);
INSERT INTO revision_head DEFAULT VALUES;

-- One row a server that runs. A change that narrows access is answered when all of them have applied it.
CREATE TABLE replicas (
    id                uuid        PRIMARY KEY,
    name              text        NOT NULL,
    version           text        NOT NULL,
    started_at        timestamptz NOT NULL,
    -- For people. Whether a lease is over is never decided by a clock of another machine, but by
    -- whether `renewals` grew while one's own clock measured the time of a lease.
    renewed_at        timestamptz NOT NULL,
    renewals          bigint      NOT NULL DEFAULT 0,
    -- The last revision that it has applied.
    applied           bigint      NOT NULL,
    -- The narrowing changes that were made there, and how long it took until all had applied them.
    revocations       bigint      NOT NULL DEFAULT 0,
    revocation_p50_us bigint,
    revocation_p99_us bigint
);
