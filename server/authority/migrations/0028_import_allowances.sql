-- What the search for secrets that a person may know needs of `tokens`, and a table for imports. Expands only.
-- The indexes of `audit_events` have migrations of their own, because that table is large.

CREATE INDEX tokens_deleted_by_user ON tokens (user_id) WHERE deleted_at IS NOT NULL;

-- How many tokens a workspace imported within a day. So many do not count as guesses at unknown tokens.
CREATE TABLE import_allowances (
    workspace_id uuid        CONSTRAINT import_allowances_pkey PRIMARY KEY
                             CONSTRAINT import_allowances_workspace_id_fkey REFERENCES workspaces (id),
    -- The beginning of the day.
    since        timestamptz NOT NULL,
    imported     bigint      NOT NULL CONSTRAINT import_allowances_positive CHECK (imported > 0)
);
