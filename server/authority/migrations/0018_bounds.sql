-- The addresses, rate limit and beginning that an administrator set on a token of somebody else, as JSON with the keys
-- ip_allow, rate_limit and not_before. A member who manages their own tokens does not go beyond them. Empty is none.
-- Expands only: a server of version 0.1 leaves the column as it is.
ALTER TABLE tokens ADD COLUMN fixed_bounds jsonb;
