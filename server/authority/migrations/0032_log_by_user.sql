-- no-transaction
-- The tokens that acted as a user.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_by_user ON audit_events ((before ->> 'user'), subject_id) WHERE action = 'token.update';
