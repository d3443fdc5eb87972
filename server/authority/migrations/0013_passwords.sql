-- Passwords that must be changed, passwords below the present rule, and one-time links that set a password.
-- Expands only. A server of version 0.1 ignores both columns: it lets people with a password that must be
-- changed work as usual, and never writes a link.

ALTER TABLE users
    -- Somebody else chose the password: its owner can only change it.
    ADD COLUMN must_change_password boolean NOT NULL DEFAULT false,
    -- The last sign-in found the password below the rule. Its owner is asked for a better one.
    ADD COLUMN password_is_weak     boolean NOT NULL DEFAULT false;

-- A user has one link at most. A new one replaces the older, and using it removes the row.
CREATE TABLE password_links (
    user_id    uuid        PRIMARY KEY CONSTRAINT password_links_user_id_fkey REFERENCES users (id),
    -- SHA-256 of what the link holds: reading the table does not open the link.
    digest     bytea       NOT NULL CONSTRAINT password_links_digest_length CHECK (octet_length(digest) = 32),
    -- The administrator who made it; empty for the command line. The link works as long as they may make it.
    issued_by  uuid        CONSTRAINT password_links_issued_by_fkey REFERENCES users (id),
    expires_at timestamptz NOT NULL,
    CONSTRAINT password_links_digest_unique UNIQUE (digest)
);
