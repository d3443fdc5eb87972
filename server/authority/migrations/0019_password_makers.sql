-- Who chose a password that must be changed. Such a password counts only as long as its maker may still set it: an
-- administrator must not become an owner by a password that they gave to somebody who is an owner now. Expands only: a
-- server of version 0.1 never writes the column.

ALTER TABLE users
    -- The administrator who chose the password; empty for the command line, and once the person chose their own.
    ADD COLUMN password_set_by uuid CONSTRAINT users_password_set_by_fkey REFERENCES users (id);

-- Reports whether this maker may set the password of somebody with this role on the instance, by a link or directly.
-- No maker is the command line.
CREATE FUNCTION may_set_password(maker uuid, person_role text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT maker IS NULL OR EXISTS (
        SELECT FROM users m
         WHERE m.id = maker AND m.enabled AND m.deleted_at IS NULL
           AND (m.instance_role = 'owner' OR m.instance_role = 'admin' AND person_role <> 'owner'))
$$;
