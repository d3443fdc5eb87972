-- Tokens that tokens of version 0.1 made: the audit log knows which token made which. They count as its children, so
-- that whoever stops a token can stop what it made before the upgrade, too.
ALTER TABLE tokens
    -- Whether the parent's end bounds this token when it rotates itself. Tokens of 0.1 were made without bounds and keep
    -- renewing themselves as before.
    ADD COLUMN within_parent boolean NOT NULL DEFAULT false;

UPDATE tokens t
   SET parent_id = p.id
  FROM audit_events a
  JOIN tokens p ON p.id = a.actor_id
 WHERE a.action IN ('token.create', 'token.import') AND a.actor_kind = 'token' AND a.subject_id = t.id
   AND p.workspace_id = t.workspace_id AND t.parent_id IS NULL;
