-- People who lost the right to set passwords, and the accounts that ended with them. Expands only: a server of version 0.1
-- neither reads nor writes the table.

-- A note that what these accounts were doing at the moment of the change is to be looked at once more. The row is written
-- together with the change, and removed when the look found nothing else: if a server ends in between, another one goes on.
CREATE TABLE person_stops (
    id           uuid        CONSTRAINT person_stops_pkey PRIMARY KEY,
    -- The person from whom the passwords descend. No references in this table, because people can be removed meanwhile.
    giver        uuid        NOT NULL,
    -- The people whose passwords ended.
    ended        uuid[]      NOT NULL,
    -- Whether passwords of administrators end that descend from the giver.
    ends_more    boolean     NOT NULL,
    -- The user who made the change. Their own password stays.
    stopped_by   uuid,
    -- Who asked, as the audit log tells it.
    author       jsonb       NOT NULL,
    -- Until then, by the database's clock, the server that began goes on.
    worked_until timestamptz NOT NULL
);
