-- How often a token may be used: so many uses in so many seconds. Both or neither; a token without them
-- may be used at any rate. What is left of it is counted by each server in memory: a row written on
-- every use would make each verification wait for the disk.
ALTER TABLE tokens
    ADD COLUMN rate_limit integer,
    ADD COLUMN rate_window_s integer,
    ADD CONSTRAINT tokens_rate_limit_whole CHECK ((rate_limit IS NULL) = (rate_window_s IS NULL)),
    ADD CONSTRAINT tokens_rate_limit_sane CHECK (rate_limit BETWEEN 1 AND 1000000),
    ADD CONSTRAINT tokens_rate_window_sane CHECK (rate_window_s BETWEEN 1 AND 86400);
