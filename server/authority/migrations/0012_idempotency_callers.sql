-- Who holds a key, as a MAC: each caller may hold only so many. Null in rows that version 0.1 writes, which
-- are kept for a day.
ALTER TABLE idempotency_keys
    ADD COLUMN caller bytea CONSTRAINT idempotency_caller_length CHECK (octet_length(caller) = 32);
-- The secret with which a token asked for its own rotation. That rotation may have ended the secret, so it no
-- longer authenticates; for a short while it still finds the reply.
ALTER TABLE idempotency_keys ADD COLUMN secret_id uuid;
CREATE INDEX idempotency_keys_by_caller ON idempotency_keys (caller, expires_at);
