-- Lets names of tokens be compared in the same way in every database. lower() depends on the database's locale:
-- under C it folds only ASCII, under a Turkish one I is not the capital of i. Tessera folds names itself. Only adds
-- columns and indexes, so that a server of the version before runs on it.

ALTER TABLE tokens ADD COLUMN name_key text;
COMMENT ON COLUMN tokens.name_key IS
    'The name as it is compared with others, folded by Tessera; NULL until a row of a 0.1 server is read';

CREATE INDEX tokens_by_name_key ON tokens (workspace_id, name_key) WHERE deleted_at IS NULL;
CREATE INDEX tokens_without_name_key ON tokens (workspace_id) WHERE name_key IS NULL AND deleted_at IS NULL;

-- A server of the version before renames a token and does not know the key.
CREATE FUNCTION tokens_forget_name_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name_key := NULL;
    RETURN NEW;
END
$$;
CREATE TRIGGER tokens_name_key BEFORE UPDATE OF name ON tokens FOR EACH ROW
    WHEN (NEW.name IS DISTINCT FROM OLD.name AND NEW.name_key IS NOT DISTINCT FROM OLD.name_key)
    EXECUTE FUNCTION tokens_forget_name_key();
