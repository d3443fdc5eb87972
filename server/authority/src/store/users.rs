//! Users.

use domain::{
    ids::{UserId, WorkspaceId},
    names::{Email, WrittenEmail},
    roles::{InstanceRole, UserKind},
    token::UserSummary,
    user::{User as Record, UserQuery},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A user, with the facts that services need.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a user")]
pub(crate) struct User {
    pub(crate) summary: UserSummary,
    pub(crate) instance_role: InstanceRole,
    pub(crate) enabled: bool,
    pub(crate) password_hash: Option<String>,
    /// Another person chose the password. Its owner can only change it.
    pub(crate) must_change_password: bool,
    /// The user chose the password, or the person who set it may still do so. Otherwise, the
    /// password is not accepted.
    pub(crate) password_counts: bool,
    /// The last sign-in found the password weaker than the rule requires.
    pub(crate) password_is_weak: bool,
    /// Incremented when sessions of the user are deleted.
    pub(crate) browser_generation: i64,
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about a user")]
struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    instance_role: String,
    enabled: bool,
    password_hash: Option<String>,
    must_change_password: bool,
    password_counts: bool,
    password_is_weak: bool,
    browser_generation: i64,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let instance_role = row
            .instance_role
            .parse()
            .map_err(|_| StoreError::corrupt("users.instance_role", row.id))?;
        Ok(Self {
            summary: UserSummary { id: row.id.into(), email: row.email, name: row.name },
            instance_role,
            enabled: row.enabled,
            password_hash: row.password_hash,
            must_change_password: row.must_change_password,
            password_counts: row.password_counts,
            password_is_weak: row.password_is_weak,
            browser_generation: row.browser_generation,
        })
    }
}

/// A user to insert.
pub(crate) struct NewUser<'a> {
    pub(crate) id: UserId,
    pub(crate) kind: UserKind,
    pub(crate) email: &'a Email,
    pub(crate) name: &'a str,
    pub(crate) password_hash: Option<&'a str>,
    /// Whether the user must change the password, because another person chose it.
    pub(crate) must_change_password: bool,
    /// The administrator who chose the password.
    pub(crate) password_set_by: Option<UserId>,
    pub(crate) instance_role: InstanceRole,
}

/// Inserts a user. `users_email_unique` and `users_email_key_unique` reject an address that is
/// in use.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    user: &NewUser<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO users (id, kind, email, name, password_hash, instance_role, created_at, updated_at,
                            must_change_password, password_set_by, email_key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $3)",
        user.id.0,
        user.kind.as_str(),
        user.email.as_ref(),
        user.name,
        user.password_hash,
        user.instance_role.as_str(),
        now,
        user.must_change_password,
        user.password_set_by.map(|maker| maker.0),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the user with this address, unless it was removed. If version 0.1 stored two addresses
/// that look the same, prefers the exact match.
pub(crate) async fn by_email(
    connection: &mut PgConnection,
    email: &WrittenEmail,
) -> Result<Option<User>, StoreError> {
    sqlx::query_as!(
        UserRow,
        r#"SELECT id, email, name, instance_role, enabled, password_hash, must_change_password,
                  (NOT must_change_password OR may_set_password(password_set_by, instance_role))
                      AS "password_counts!",
                  password_is_weak, browser_generation FROM users
            WHERE (email = $1 OR email_key = $2) AND deleted_at IS NULL
            ORDER BY (email = $1) DESC LIMIT 1"#,
        email.exact,
        email.email.as_ref().map(AsRef::as_ref),
    )
    .fetch_optional(connection)
    .await?
    .map(User::try_from)
    .transpose()
}

/// Returns the user with this id, unless it was removed.
pub(crate) async fn by_id(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<User>, StoreError> {
    sqlx::query_as!(
        UserRow,
        r#"SELECT id, email, name, instance_role, enabled, password_hash, must_change_password,
                  (NOT must_change_password OR may_set_password(password_set_by, instance_role))
                      AS "password_counts!",
                  password_is_weak, browser_generation FROM users
            WHERE id = $1 AND deleted_at IS NULL"#,
        id.0,
    )
    .fetch_optional(connection)
    .await?
    .map(User::try_from)
    .transpose()
}

/// Returns the enabled administrator with the oldest account: of the workspace if it has one, else
/// of the instance.
pub(crate) async fn first_administrator(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<Option<User>, StoreError> {
    sqlx::query_as!(
        UserRow,
        r#"SELECT u.id, u.email, u.name, u.instance_role, u.enabled, u.password_hash, u.must_change_password,
                  (NOT u.must_change_password OR may_set_password(u.password_set_by, u.instance_role))
                      AS "password_counts!",
                  u.password_is_weak, u.browser_generation
             FROM users u LEFT JOIN memberships m ON m.user_id = u.id AND m.workspace_id = $1
            WHERE u.enabled AND u.kind = 'person'
              AND (m.role = 'admin' OR u.instance_role IN ('owner', 'admin'))
            ORDER BY (m.role = 'admin') DESC NULLS LAST, u.created_at, u.id
            LIMIT 1"#,
        workspace.0,
    )
    .fetch_optional(connection)
    .await?
    .map(User::try_from)
    .transpose()
}

/// Locks the row of a user whose password was checked. Returns whether that password is still the
/// user's and still counts. Rehashing the same password with stronger parameters changes only the
/// hash, but setting another password also deletes all sessions.
pub(crate) async fn lock_checked(
    connection: &mut PgConnection,
    user: &User,
) -> Result<bool, StoreError> {
    let found = sqlx::query!(
        "SELECT password_hash, browser_generation FROM users
          WHERE id = $1 AND enabled AND deleted_at IS NULL
            AND (NOT must_change_password OR may_set_password(password_set_by, instance_role))
            FOR NO KEY UPDATE",
        user.summary.id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some_and(|found| {
        found.password_hash == user.password_hash
            || found.browser_generation == user.browser_generation
    }))
}

/// Stores a hash of the same password with stronger parameters.
pub(crate) async fn replace_password_hash(
    connection: &mut PgConnection,
    id: UserId,
    password_hash: &str,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE users SET password_hash = $2 WHERE id = $1", id.0, password_hash)
        .execute(connection)
        .await?;
    Ok(())
}

struct RecordRow {
    id: Uuid,
    email: String,
    name: String,
    kind: String,
    instance_role: String,
    enabled: bool,
    tokens: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    version: i64,
}

impl TryFrom<RecordRow> for Record {
    type Error = StoreError;

    fn try_from(row: RecordRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::corrupt(column, row.id);
        Ok(Self {
            kind: row.kind.parse().map_err(|_| corrupt("users.kind"))?,
            instance_role: row.instance_role.parse().map_err(|_| corrupt("users.instance_role"))?,
            summary: UserSummary { id: row.id.into(), email: row.email, name: row.name },
            enabled: row.enabled,
            tokens: row.tokens,
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        })
    }
}

/// Returns the full record of a user, unless it was removed.
pub(crate) async fn record(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<Record>, StoreError> {
    sqlx::query_as!(
        RecordRow,
        r#"SELECT id, email, name, kind, instance_role, enabled, created_at, updated_at, version,
                  (SELECT count(*) FROM tokens t WHERE t.user_id = u.id AND t.deleted_at IS NULL) AS "tokens!"
             FROM users u WHERE id = $1 AND deleted_at IS NULL"#,
        id.0,
    )
    .fetch_optional(connection)
    .await?
    .map(Record::try_from)
    .transpose()
}

/// Returns a page of the users that were not removed, ordered by address, after `after`.
pub(crate) async fn page(
    connection: &mut PgConnection,
    query: &UserQuery,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Record>, StoreError> {
    sqlx::query_as!(
        RecordRow,
        r#"SELECT id, email, name, kind, instance_role, enabled, created_at, updated_at, version,
                  (SELECT count(*) FROM tokens t WHERE t.user_id = u.id AND t.deleted_at IS NULL) AS "tokens!"
             FROM users u
            WHERE deleted_at IS NULL
              AND ($1::text IS NULL OR name ILIKE $1 OR email ILIKE $1)
              AND ($2::text IS NULL OR kind = $2)
              AND ($3::boolean IS NULL OR enabled = $3)
              AND ($4::text IS NULL OR email > $4)
            ORDER BY email LIMIT $5"#,
        super::pattern(&query.q),
        query.kind.map(UserKind::as_str),
        query.enabled,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Record::try_from)
    .collect()
}

/// Checks whether a user with this id exists, or existed before it was removed.
pub(crate) async fn was(connection: &mut PgConnection, id: UserId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM users WHERE id = $1) AS "was!""#, id.0)
        .fetch_one(connection)
        .await?)
}

/// Locks a user's row until the transaction ends.
pub(crate) async fn lock(connection: &mut PgConnection, id: UserId) -> Result<(), StoreError> {
    sqlx::query!("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", id.0)
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Updates the name and role of a user, and whether it is enabled.
pub(crate) async fn update(
    connection: &mut PgConnection,
    id: UserId,
    name: &str,
    instance_role: InstanceRole,
    enabled: bool,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE users SET name = $2, instance_role = $3, enabled = $4, updated_at = $5, version = version + 1
          WHERE id = $1 AND deleted_at IS NULL",
        id.0,
        name,
        instance_role.as_str(),
        enabled,
        now,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Turns a user into a tombstone: disabled, without a password, and member of no workspace. Its
/// address stays taken, and what it created keeps its name.
pub(crate) async fn remove(
    connection: &mut PgConnection,
    id: UserId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE users SET deleted_at = $2, enabled = false, password_hash = NULL, updated_at = $2,
                version = version + 1
          WHERE id = $1 AND deleted_at IS NULL",
        id.0,
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM memberships WHERE user_id = $1", id.0).execute(connection).await?;
    Ok(outcome.rows_affected() == 1)
}

/// Returns the number of other enabled people who own the instance.
pub(crate) async fn other_owners(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM users
            WHERE instance_role = 'owner' AND kind = 'person' AND enabled AND id <> $1"#,
        id.0,
    )
    .fetch_one(connection)
    .await?)
}

/// Returns the number of tokens that act as this user while it may act: it is enabled, and
/// belongs to the token's workspace or manages the instance. A change that lowers this number
/// stops the difference.
pub(crate) async fn acting_tokens(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
             FROM tokens t JOIN users u ON u.id = t.user_id
            WHERE t.user_id = $1 AND t.deleted_at IS NULL AND u.enabled
              AND (u.instance_role IN ('owner', 'admin') OR EXISTS (
                      SELECT FROM memberships m WHERE m.workspace_id = t.workspace_id AND m.user_id = u.id
                  ))"#,
        id.0,
    )
    .fetch_one(connection)
    .await?)
}
