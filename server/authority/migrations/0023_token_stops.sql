-- Which token stopped a token. A token that another token made may lift a stop that it set itself, and no other one.
-- Expands only: a server of version 0.1 does not know the columns, and the trigger does for it what it does not do.
--
-- No references: an id is only compared with that of the token that asks.
ALTER TABLE tokens
    ADD COLUMN disabled_by_token uuid,
    ADD COLUMN ended_by_token    uuid;
COMMENT ON COLUMN tokens.disabled_by_token IS
    'The token, made by another token, that disabled this one; empty for everybody else, and where nobody knows';
COMMENT ON COLUMN tokens.ended_by_token IS
    'The token, made by another token, that gave this one its earlier end; empty for everybody else, and where nobody knows';

-- A record of who stopped a token must not outlive the stop. A stop by a server of 0.1 names nobody: it counts as one by
-- an administrator.
CREATE FUNCTION tokens_forget_stoppers() RETURNS trigger LANGUAGE plpgsql AS $$
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
        END IF;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER tokens_stoppers BEFORE UPDATE OF enabled, expires_at ON tokens FOR EACH ROW
    WHEN (NEW.enabled IS DISTINCT FROM OLD.enabled OR NEW.expires_at IS DISTINCT FROM OLD.expires_at)
    EXECUTE FUNCTION tokens_forget_stoppers();
