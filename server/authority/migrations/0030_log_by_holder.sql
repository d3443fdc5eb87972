-- no-transaction
-- The tokens whose secrets somebody got.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_by_holder ON audit_events (actor_id, actor_kind, subject_id)
 WHERE action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal') AND actor_id IS NOT NULL;
