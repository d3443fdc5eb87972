-- Attempts to sign in, counted before the password is hashed. Expands only: a server of version 0.1 goes
-- on counting in `sign_in_throttles`, which a later version drops. While both versions run, each counts
-- for itself.

-- One row for each (account, address), address, account and known browser that was tried lately, whether
-- or not the account exists.
CREATE TABLE sign_in_attempts (
    -- MAC of the kind and the values: the table shows nobody which accounts and addresses were tried.
    key       bytea       PRIMARY KEY CONSTRAINT sign_in_attempts_key_length CHECK (octet_length(key) = 32),
    -- Attempts in a row without a success.
    attempts  integer     NOT NULL CONSTRAINT sign_in_attempts_sane CHECK (attempts >= 0),
    -- From when on the next attempt is free: the end of a delay, or the moment at which a bucket is empty.
    open_at   timestamptz NOT NULL,
    -- When the row can be removed.
    forget_at timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_by_end ON sign_in_attempts (forget_at);

-- Part of the MAC in the cookies of browsers that signed in to this account. A higher number ends all of
-- them: ending sessions raises it.
ALTER TABLE users ADD COLUMN browser_generation bigint NOT NULL DEFAULT 0;

-- Peers whose `X-Forwarded-For` was not believed when a person signed in: proxies that the operator has
-- probably forgotten in `trusted_proxies`. `tessera doctor` and the start-up log name them.
CREATE TABLE untrusted_proxies (
    address text        PRIMARY KEY CONSTRAINT untrusted_proxies_address_length CHECK (char_length(address) BETWEEN 1 AND 64),
    seen_at timestamptz NOT NULL
);
