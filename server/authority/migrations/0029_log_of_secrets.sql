-- no-transaction
-- The search for secrets that a person may know follows the log by four indexes, and reads no other row of it. Each of them is
-- made beside the servers that write the log, in a file of its own (`store/database.rs` says what such a file may hold).
--
-- This one: who made, rotated or was shown the secret of a token.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_of_secrets ON audit_events (subject_id, at, id) INCLUDE (action, actor_kind, actor_id)
 WHERE action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal');
