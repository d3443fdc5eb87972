-- How many invitations the tokens of a workspace sent lately. They count for the workspace, and not for the person whom
-- a token acts for. Expands only.
CREATE INDEX invitations_of_tokens ON invitations (workspace_id, created_at) WHERE token_id IS NOT NULL;
