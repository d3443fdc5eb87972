-- What lists among a million tokens need beside their orders.

-- With the plain column beside the expression, "how many of these are there?" is answered by the index alone.
CREATE INDEX tokens_by_end ON tokens (workspace_id, (COALESCE(expires_at, 'infinity'::timestamptz)), id) INCLUDE (expires_at) WHERE deleted_at IS NULL;
DROP INDEX tokens_by_expiry;
CREATE INDEX tokens_by_use ON tokens (workspace_id, (COALESCE(last_used_at, '-infinity'::timestamptz)), id) INCLUDE (last_used_at) WHERE deleted_at IS NULL;
DROP INDEX tokens_by_last_use;

-- How texts are spread tells the planner whether a search finds enough by reading on.
CREATE STATISTICS tokens_name_text ON (lower(name)) FROM tokens;
CREATE STATISTICS tokens_hint_text ON (lower(hint)) FROM tokens;

-- "Contains" has an index where the database has pg_trgm, which comes with PostgreSQL and which the
-- owner of a database may switch on. Where it may not be had, a search that finds little reads the
-- workspace; everything else is the same.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX tokens_by_text ON tokens USING gin (lower(name) gin_trgm_ops, lower(hint) gin_trgm_ops) WHERE deleted_at IS NULL;
    CREATE INDEX users_by_text ON users USING gin (lower(name) gin_trgm_ops, email gin_trgm_ops);
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR undefined_object OR feature_not_supported THEN
        RAISE NOTICE 'pg_trgm is not available: searching for text that is rare will read all tokens';
END
$$;
