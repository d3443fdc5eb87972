-- Rights that do not grow: which token made a token, which lifetime a token was given, and who stopped it.
-- Expands only: a server that does not know these columns leaves them empty, and empty means "not recorded".
ALTER TABLE tokens
    -- The token that made it, whose bounds were upper limits for it.
    ADD COLUMN parent_id   uuid   CONSTRAINT tokens_parent_id_fkey REFERENCES tokens (id),
    -- The lifetime that it was given by somebody who may set it: a token that rotates itself never gets more.
    -- Empty is what its end and its current secret's beginning say.
    ADD COLUMN lifetime_us bigint CONSTRAINT tokens_lifetime_positive CHECK (lifetime_us > 0),
    -- Who disabled it and in which standing. A member cannot undo what an administrator did.
    ADD COLUMN disabled_by uuid   CONSTRAINT tokens_disabled_by_fkey REFERENCES users (id),
    ADD COLUMN disabled_as text   CONSTRAINT tokens_disabled_as_known CHECK (disabled_as IN ('administrator', 'owner', 'policy')),
    -- Who ended it, or set it an earlier end.
    ADD COLUMN ended_by    uuid   CONSTRAINT tokens_ended_by_fkey REFERENCES users (id),
    ADD COLUMN ended_as    text   CONSTRAINT tokens_ended_as_known CHECK (ended_as IN ('administrator', 'owner', 'policy'));
CREATE INDEX tokens_by_parent ON tokens (parent_id) WHERE parent_id IS NOT NULL AND deleted_at IS NULL;

ALTER TABLE policies
    -- Whether a token may rotate itself.
    ADD COLUMN self_rotate   boolean,
    -- What happens to the tokens that a token made when it is disabled, ended or deleted.
    ADD COLUMN on_parent_end text CONSTRAINT policies_on_parent_end_known CHECK (on_parent_end IN ('keep', 'end'));

-- The audit log knows who stopped the tokens that are stopped now.
UPDATE tokens t
   SET disabled_by = e.user_id, disabled_as = CASE WHEN e.user_id = t.user_id THEN 'owner' ELSE 'administrator' END
  FROM (SELECT DISTINCT ON (a.subject_id) a.subject_id, a.action, COALESCE(by.user_id, u.id) AS user_id
          FROM audit_events a
          LEFT JOIN tokens by ON a.actor_kind = 'token' AND by.id = a.actor_id
          LEFT JOIN users u ON a.actor_kind = 'user' AND u.id = a.actor_id
         WHERE a.action = 'token.disable' AND a.actor_kind <> 'anonymous'
         ORDER BY a.subject_id, a.id DESC) e
 WHERE t.id = e.subject_id AND NOT t.enabled AND t.deleted_at IS NULL;
UPDATE tokens t
   SET ended_by = e.user_id, ended_as = CASE WHEN e.user_id = t.user_id THEN 'owner' ELSE 'administrator' END
  FROM (SELECT DISTINCT ON (a.subject_id) a.subject_id, a.at, COALESCE(by.user_id, u.id) AS user_id
          FROM audit_events a
          LEFT JOIN tokens by ON a.actor_kind = 'token' AND by.id = a.actor_id
          LEFT JOIN users u ON a.actor_kind = 'user' AND u.id = a.actor_id
         WHERE a.action = 'token.expire' AND a.actor_kind <> 'anonymous'
         ORDER BY a.subject_id, a.id DESC) e
 WHERE t.id = e.subject_id AND t.expires_at = e.at AND t.deleted_at IS NULL;
