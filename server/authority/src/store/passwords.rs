//! Passwords, and the one-time links that set them.

use domain::{ids::UserId, roles::InstanceRole, token::UserSummary};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// The origin of a new password, which decides from which administrator it descends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descent {
    /// The same origin as the password that it replaces.
    Same,
    /// The administrator who issued a link, or `None` for the command line.
    Link(Option<UserId>),
}

/// Stores a password that its owner chose.
pub(crate) async fn set(
    connection: &mut PgConnection,
    user: UserId,
    password_hash: &str,
    descent: Descent,
) -> Result<(), StoreError> {
    let maker = match descent {
        Descent::Same => None,
        Descent::Link(maker) => maker,
    };
    sqlx::query!(
        "UPDATE users SET password_hash = $2, must_change_password = false, password_is_weak = false,
                password_set_by = CASE WHEN $3 THEN $4 ELSE password_set_by END
          WHERE id = $1",
        user.0,
        password_hash,
        descent != Descent::Same,
        maker.map(|maker| maker.0),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records whether a user's password is weaker than the password rule requires.
pub(crate) async fn mark_weak(
    connection: &mut PgConnection,
    user: UserId,
    is_weak: bool,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE users SET password_is_weak = $2 WHERE id = $1", user.0, is_weak)
        .execute(connection)
        .await?;
    Ok(())
}

/// Stores the digest of a user's new link, in place of an older one.
pub(crate) async fn replace_link(
    connection: &mut PgConnection,
    user: UserId,
    digest: &[u8; 32],
    issued_by: Option<UserId>,
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO password_links (user_id, digest, issued_by, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE
            SET digest = excluded.digest, issued_by = excluded.issued_by, expires_at = excluded.expires_at",
        user.0,
        &digest[..],
        issued_by.map(|user| user.0),
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct PersonRow {
    id: Uuid,
    email: String,
    name: String,
}

impl From<PersonRow> for UserSummary {
    fn from(row: PersonRow) -> Self {
        Self { id: row.id.into(), email: row.email, name: row.name }
    }
}

/// Returns the user whose password a link sets. Returns `None` if the link has expired, the user is
/// disabled, or the administrator who issued the link may no longer do so.
pub(crate) async fn of_link(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<UserSummary>, StoreError> {
    let row = sqlx::query_as!(
        PersonRow,
        "SELECT u.id, u.email, u.name
           FROM password_links l
           JOIN users u ON u.id = l.user_id
          WHERE l.digest = $1 AND l.expires_at > $2
            AND u.enabled AND u.kind = 'person' AND u.deleted_at IS NULL
            AND may_set_password(l.issued_by, u.instance_role)",
        &digest[..],
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(UserSummary::from))
}

/// Deletes a link on its use. Returns the administrator who issued it, or `None` if the link no
/// longer exists. Waits for a concurrent change that deletes the link. Afterwards, the caller must
/// check with [`may_set`] that the administrator still has the right to issue it.
pub(crate) async fn take_link(
    connection: &mut PgConnection,
    user: UserId,
    digest: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<Option<UserId>>, StoreError> {
    let issued_by = sqlx::query_scalar!(
        "DELETE FROM password_links WHERE user_id = $1 AND digest = $2 AND expires_at > $3
         RETURNING issued_by",
        user.0,
        &digest[..],
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(issued_by.map(|maker| maker.map(UserId)))
}

/// Returns whether the issuer of a link may set this user's password. Returns `false` unless the
/// user is an enabled person.
pub(crate) async fn may_set(
    connection: &mut PgConnection,
    maker: Option<UserId>,
    user: UserId,
) -> Result<bool, StoreError> {
    let may = sqlx::query_scalar!(
        r#"SELECT may_set_password($2, instance_role) AS "may!" FROM users
            WHERE id = $1 AND enabled AND kind = 'person' AND deleted_at IS NULL"#,
        user.0,
        maker.map(|maker| maker.0),
    )
    .fetch_optional(connection)
    .await?;
    Ok(may.unwrap_or(false))
}

/// Returns whether a person may keep their password with another instance role.
pub(crate) async fn may_keep(
    connection: &mut PgConnection,
    user: UserId,
    role: InstanceRole,
) -> Result<bool, StoreError> {
    let may = sqlx::query_scalar!(
        r#"SELECT may_set_password(password_set_by, $2) AS "may!" FROM users WHERE id = $1"#,
        user.0,
        role.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(may.unwrap_or(true))
}

/// Deletes the password of a person whose role was raised, if it descends from an administrator who
/// may not set the password of a person with that role. Returns that administrator if so.
///
/// The administrator may have used the account, so its earlier actions no longer count as the
/// person's. Passwords that the account gave now descend from the administrator, and the links that
/// it issued are deleted.
pub(crate) async fn end_of_raised(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<UserId>, StoreError> {
    let giver = sqlx::query_scalar!(
        r#"SELECT password_set_by AS "giver!" FROM users
            WHERE id = $1 AND NOT may_set_password(password_set_by, instance_role)"#,
        user.0,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(giver) = giver else { return Ok(None) };
    sqlx::query!(
        "UPDATE users SET password_hash = NULL, password_set_by = NULL, must_change_password = false,
                acts_count_after = (SELECT max(id) FROM audit_events)
          WHERE id = $1",
        user.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("UPDATE users SET password_set_by = $2 WHERE password_set_by = $1", user.0, giver)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM password_links WHERE issued_by = $1", user.0)
        .execute(connection)
        .await?;
    Ok(Some(UserId(giver)))
}

/// Locks a user and every user whose row [`end_descended`] may change, in the order in which all
/// transactions lock users, to avoid deadlocks. These are the owners and administrators whose
/// passwords descend from the user, and everyone whose password was given by one of them or by a
/// user in `ended`. Other users to whom the user gave a password are not locked.
pub(crate) async fn lock_descended(
    connection: &mut PgConnection,
    giver: UserId,
    ended: &[UserId],
    kept: Option<UserId>,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = ended.iter().map(|person| person.0).collect();
    sqlx::query_scalar!(
        "WITH RECURSIVE ended (id) AS (
             SELECT id FROM unnest(array_append($2::uuid[], $1::uuid)) AS roots (id)
              UNION
             SELECT u.id FROM ended e JOIN users u ON u.password_set_by = e.id
              WHERE u.instance_role IN ('owner', 'admin') AND u.id IS DISTINCT FROM $3
         )
         SELECT id FROM users
          WHERE id IN (SELECT id FROM ended) OR password_set_by IN (SELECT id FROM ended WHERE id <> $1)
          ORDER BY id FOR NO KEY UPDATE",
        giver.0,
        &ids,
        kept.map(|user| user.0),
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Deletes the passwords of other owners and administrators of the instance that descend from
/// `giver`, who may no longer set them, even if they have been changed since. Returns the people
/// whose passwords were deleted. `kept`, the person who makes the change, keeps their password.
///
/// The giver may have used those accounts, so their earlier actions no longer count as those of the
/// people they belong to. Passwords that the accounts gave now descend from the giver, and the
/// links that they issued are deleted.
pub(crate) async fn end_descended(
    connection: &mut PgConnection,
    giver: UserId,
    kept: Option<UserId>,
) -> Result<Vec<UserSummary>, StoreError> {
    let mut ended = Vec::new();
    loop {
        let rows = sqlx::query_as!(
            PersonRow,
            "UPDATE users SET password_hash = NULL, password_set_by = NULL, must_change_password = false,
                    acts_count_after = (SELECT max(id) FROM audit_events)
              WHERE password_set_by = $1 AND id <> $1 AND ($2::uuid IS NULL OR id <> $2)
                AND instance_role IN ('owner', 'admin') AND password_hash IS NOT NULL
                AND NOT may_set_password($1, instance_role)
              RETURNING id, email, name",
            giver.0,
            kept.map(|user| user.0),
        )
        .fetch_all(&mut *connection)
        .await?;
        if rows.is_empty() {
            return Ok(ended);
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        sqlx::query!(
            "UPDATE users SET password_set_by = $2 WHERE password_set_by = ANY($1)",
            &ids,
            giver.0,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!("DELETE FROM password_links WHERE issued_by = ANY($1)", &ids)
            .execute(&mut *connection)
            .await?;
        ended.extend(rows.into_iter().map(UserSummary::from));
    }
}

/// Deletes the links issued by the given people who have no password. Passwords that these people
/// gave now descend from `giver`.
pub(crate) async fn hand_back(
    connection: &mut PgConnection,
    people: &[UserId],
    giver: UserId,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = people.iter().map(|person| person.0).collect();
    // Links first, because using one gives a password.
    sqlx::query!(
        "DELETE FROM password_links l USING users u
          WHERE l.issued_by = ANY($1) AND u.id = l.issued_by AND u.password_hash IS NULL",
        &ids,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE users SET password_set_by = $2 WHERE password_set_by IN (
             SELECT id FROM users WHERE id = ANY($1) AND password_hash IS NULL)",
        &ids,
        giver.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks the actions of these people's accounts up to now as not their own. Affects only people who
/// have no password and whose earlier actions are marked already.
pub(crate) async fn disown(
    connection: &mut PgConnection,
    people: &[UserId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = people.iter().map(|person| person.0).collect();
    sqlx::query!(
        "UPDATE users SET acts_count_after = (SELECT max(id) FROM audit_events)
          WHERE id = ANY($1) AND password_hash IS NULL AND acts_count_after IS NOT NULL",
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The reason to doubt that a password is known only to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordDoubt {
    /// No record shows who chose it.
    Unknown,
    /// The administrator who chose it may no longer set it, and the person has not changed it. It
    /// cannot be used to sign in.
    Ended,
    /// Another user chose it. The person must change it when they next sign in.
    Given,
    /// It descends from an administrator who may no longer set it and may know it. The person
    /// manages the instance.
    OfManager,
    /// As [`Self::OfManager`], for a person who does not manage the instance.
    OfMember,
}

/// A person with a doubtful password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtfulPassword {
    /// The person's address.
    pub email: String,
    /// The reason for the doubt.
    pub doubt: PasswordDoubt,
}

/// Returns the enabled people whose passwords are doubtful, by address.
pub(crate) async fn doubtful(
    connection: &mut PgConnection,
) -> Result<Vec<DoubtfulPassword>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT email, must_change_password, instance_role IN ('owner', 'admin') AS "manages!",
                  NOT may_set_password(password_set_by, instance_role) AS "former!"
             FROM users u
            WHERE enabled AND password_hash IS NOT NULL
              AND (must_change_password OR NOT may_set_password(password_set_by, instance_role) OR NOT EXISTS (
                      SELECT FROM audit_events a
                       WHERE a.subject_id = u.id
                         AND a.action IN ('user.create', 'user.password_change', 'user.password_reset')
                  ))
            ORDER BY email"#,
    )
    .fetch_all(connection)
    .await?;
    let doubtful = rows.into_iter().map(|row| DoubtfulPassword {
        email: row.email,
        doubt: match (row.former, row.must_change_password, row.manages) {
            (true, true, _) => PasswordDoubt::Ended,
            (true, false, true) => PasswordDoubt::OfManager,
            (true, false, false) => PasswordDoubt::OfMember,
            (false, true, _) => PasswordDoubt::Given,
            (false, false, _) => PasswordDoubt::Unknown,
        },
    });
    Ok(doubtful.collect())
}

/// Deletes links of this user, and links issued by this user, whose issuer may no longer issue
/// them: restoring the issuer's role must not revive them. Likewise deletes passwords that must be
/// changed and whose giver may no longer set them. Returns the people whose passwords it deleted.
pub(crate) async fn end_unmade(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<UserSummary>, StoreError> {
    sqlx::query!(
        "DELETE FROM password_links l USING users u
          WHERE u.id = l.user_id AND (l.user_id = $1 OR l.issued_by = $1)
            AND NOT may_set_password(l.issued_by, u.instance_role)",
        user.0,
    )
    .execute(&mut *connection)
    .await?;
    let rows = sqlx::query_as!(
        PersonRow,
        "UPDATE users SET password_hash = NULL
          WHERE (id = $1 OR password_set_by = $1) AND must_change_password AND password_hash IS NOT NULL
            AND NOT may_set_password(password_set_by, instance_role)
          RETURNING id, email, name",
        user.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Deletes a user's link.
pub(crate) async fn delete_link(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM password_links WHERE user_id = $1", user.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes expired links.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM password_links WHERE expires_at <= $1", now)
        .execute(connection)
        .await?;
    Ok(())
}
