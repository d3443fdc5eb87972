-- Lets servers notice that the database's history has changed: a failover that lost commits, a restored
-- backup. Only adds columns with defaults, so that a server of the version before runs on it.

-- A revision is known by more than its number: after a failover that lost it, the same number names
-- another change.
ALTER TABLE revisions ADD COLUMN nonce uuid NOT NULL DEFAULT gen_random_uuid();

-- An operator or an orchestrator raises it where servers cannot notice a change of history by themselves.
-- Every server reads it with each renewal of its lease.
ALTER TABLE revision_head ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
