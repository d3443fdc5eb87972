//! Passwords, and the one-time links that set them.

use domain::{ids::UserId, token::UserSummary};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// Stores a password that its owner chose.
pub(crate) async fn set(
    connection: &mut PgConnection,
    user: UserId,
    password_hash: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE users SET password_hash = $2, must_change_password = false, password_set_by = NULL,
                password_is_weak = false
          WHERE id = $1",
        user.0,
        password_hash,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes whether a user's password is below the rule.
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

/// Keeps the digest of a user's new link in place of an older one.
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

/// Returns the user whose password a link sets. None when it is over, when the user is disabled, or when the
/// administrator who made it may not make it any more.
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
    Ok(row.map(Into::into))
}

/// Removes the links of this user and by this user whose maker may not make them any more: a role that is given
/// back must not revive them. Removes passwords that must be changed likewise, and returns whose they were.
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

/// Removes a user's link.
pub(crate) async fn delete_link(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM password_links WHERE user_id = $1", user.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes links that are over.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM password_links WHERE expires_at <= $1", now)
        .execute(connection)
        .await?;
    Ok(())
}
