-- Networks from which people signed in lately: there, attempts to sign in are not counted against the limit that an
-- account has for all addresses together. Expands only: servers of version 0.1 neither read nor write the table.
CREATE TABLE sign_in_networks (
    user_id uuid        NOT NULL CONSTRAINT sign_in_networks_user_id_fkey REFERENCES users (id),
    -- MAC of the user and the network: the table shows nobody where people are.
    network bytea       NOT NULL CONSTRAINT sign_in_networks_network_length CHECK (octet_length(network) = 32),
    -- The last sign-in from there.
    seen_at timestamptz NOT NULL,
    CONSTRAINT sign_in_networks_pkey PRIMARY KEY (user_id, network)
);
CREATE INDEX sign_in_networks_by_time ON sign_in_networks (seen_at);
