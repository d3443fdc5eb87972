-- no-transaction
-- The users that a token acted as, each of them without reading all changes of the token.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_of_users ON audit_events (subject_id, (before ->> 'user'), id) WHERE action = 'token.update';
