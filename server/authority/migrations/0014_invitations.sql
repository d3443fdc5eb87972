-- Invitations to workspaces. An administrator of a workspace cannot make a person a member unasked: the
-- person accepts an invitation first. Administrators of the instance add members without one.
--
-- A row is open while it is not accepted, declined, revoked or past its end. Rows stay for a month: they
-- count against the number of invitations that one inviter may send in an hour.
CREATE TABLE invitations (
    id           uuid        PRIMARY KEY,
    workspace_id uuid        NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    -- The address as the program parses it, folded like `users.email`. It is not a reference: an address that
    -- no user of the instance has can be invited too, so that an answer does not tell who is one.
    email        text        NOT NULL CONSTRAINT invitations_email_present CHECK (email <> ''),
    role         text        NOT NULL CONSTRAINT invitations_role_known CHECK (role IN ('admin', 'member', 'viewer', 'verifier')),
    -- Patterns of the scopes that the member may put on tokens, audiences included. Null is what the role gives.
    grants       text[],
    invited_by   uuid        NOT NULL REFERENCES users (id),
    -- The token that asked, if it was one: an invitation ends with the token that sent it.
    token_id     uuid        REFERENCES tokens (id),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    accepted_at  timestamptz,
    -- The workspace does not see this: an address that nobody has never declines.
    declined_at  timestamptz,
    -- Revoked by the workspace, or replaced by a newer invitation of the same address.
    revoked_at   timestamptz
);
-- One invitation at a time for an address and a workspace.
CREATE UNIQUE INDEX invitations_one_open ON invitations (workspace_id, email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
-- What a person is invited to.
CREATE INDEX invitations_by_email ON invitations (email) WHERE accepted_at IS NULL AND revoked_at IS NULL;
-- How many an inviter sent lately.
CREATE INDEX invitations_by_inviter ON invitations (invited_by, created_at);
