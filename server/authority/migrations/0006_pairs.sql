-- A scope that a token holds is a scope of one audience. Version 0.1 keeps the audiences and the scopes of a
-- token beside each other, so that a scope of one API that is called as one of another was both.

-- The scopes that the token holds in this audience. NULL is a row that a 0.1 server wrote: what it means is
-- read by the catalogues (`held_scopes`) until the next server starts or a catalogue changes, which writes it
-- down. `tokens.scopes` stays the union of them for 0.1 servers, which read and write nothing else.
ALTER TABLE token_audiences ADD COLUMN scopes text[];
CREATE INDEX token_audiences_unread ON token_audiences (token_id) WHERE scopes IS NULL;

-- What migrating could not decide, for `tessera doctor`: a name that `tessera` and another audience of the token
-- declare, which the token holds in the other one only; and a name that none of its audiences declares.
CREATE TABLE unread_scopes (
    token_id uuid        NOT NULL REFERENCES tokens (id),
    scope    text        NOT NULL,
    reason   text        NOT NULL CONSTRAINT unread_scopes_reason_known CHECK (reason IN ('ambiguous', 'undeclared')),
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (token_id, scope)
);

-- The grants of a member when one of them names an audience; `grants` has those that name none, which are all that a
-- 0.1 server reads. A 0.1 server that changes `grants` makes them differ: then `grants` counts.
ALTER TABLE memberships ADD COLUMN audience_grants text[];

-- The scopes that a token holds in an audience where its row cannot be taken as it is: $1 is what the row has, $2
-- `tokens.scopes`, $3 the token, $4 the audience.
-- Of a row that a 0.1 server wrote: what the audience declares, retired or not, and for `tessera` no name that
-- another audience of the token declares, too. A name that a token of one audience holds stays that one's, declared
-- or not. Whether a URI is a part of a pattern is not decided here: verification does.
-- Of another row, when a 0.1 server took scopes away since: what is left of it, and what is left of what it implied.
CREATE FUNCTION held_scopes(text[], text[], uuid, uuid) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT COALESCE(array_agg(flat.name ORDER BY flat.name), '{}')
      FROM unnest($2) AS flat (name)
     WHERE CASE
           WHEN $1 IS NOT NULL THEN
                flat.name = ANY($1)
                OR EXISTS (SELECT FROM scopes c
                            WHERE c.audience_id = $4 AND c.name = ANY($1) AND flat.name = ANY(c.implies_all))
           WHEN NOT EXISTS (SELECT FROM token_audiences o WHERE o.token_id = $3 AND o.audience_id <> $4) THEN true
           ELSE EXISTS (SELECT FROM scopes c
                         WHERE c.audience_id = $4
                           AND (c.name = flat.name
                                OR flat.name LIKE '%://%' AND c.name LIKE '%://%'
                                   AND split_part(c.name, '://', 1) = split_part(flat.name, '://', 1)))
                AND NOT EXISTS (SELECT FROM audiences own
                                  JOIN token_audiences o ON o.token_id = $3 AND o.audience_id <> $4
                                  JOIN scopes c ON c.audience_id = o.audience_id AND c.name = flat.name
                                 WHERE own.id = $4 AND own.slug = 'tessera')
           END
$$;
