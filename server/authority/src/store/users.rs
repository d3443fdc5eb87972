//! Users.

use domain::{
    ids::{UserId, WorkspaceId},
    names::Email,
    roles::{InstanceRole, UserKind},
    token::UserSummary,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A user as a service needs it.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) summary: UserSummary,
    pub(crate) instance_role: InstanceRole,
    pub(crate) enabled: bool,
    pub(crate) password_hash: Option<String>,
}

struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    instance_role: String,
    enabled: bool,
    password_hash: Option<String>,
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
    pub(crate) instance_role: InstanceRole,
}

/// Inserts a user. `users_email_unique` refuses an address that is in use.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    user: &NewUser<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO users (id, kind, email, name, password_hash, instance_role, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        user.id.0,
        user.kind.as_str(),
        user.email.as_ref(),
        user.name,
        user.password_hash,
        user.instance_role.as_str(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The user with this address.
pub(crate) async fn by_email(
    connection: &mut PgConnection,
    email: &Email,
) -> Result<Option<User>, StoreError> {
    sqlx::query_as!(
        UserRow,
        "SELECT id, email, name, instance_role, enabled, password_hash FROM users WHERE email = $1",
        email.as_ref(),
    )
    .fetch_optional(connection)
    .await?
    .map(User::try_from)
    .transpose()
}

/// The user with this id.
pub(crate) async fn by_id(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<User>, StoreError> {
    sqlx::query_as!(
        UserRow,
        "SELECT id, email, name, instance_role, enabled, password_hash FROM users WHERE id = $1",
        id.0,
    )
    .fetch_optional(connection)
    .await?
    .map(User::try_from)
    .transpose()
}

/// The enabled administrator of longest standing: of the workspace, else of the instance.
pub(crate) async fn first_administrator(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<Option<User>, StoreError> {
    sqlx::query_as!(
        UserRow,
        "SELECT u.id, u.email, u.name, u.instance_role, u.enabled, u.password_hash
           FROM users u LEFT JOIN memberships m ON m.user_id = u.id AND m.workspace_id = $1
          WHERE u.enabled AND u.kind = 'person'
            AND (m.role = 'admin' OR u.instance_role IN ('owner', 'admin'))
          ORDER BY (m.role = 'admin') DESC NULLS LAST, u.created_at, u.id
          LIMIT 1",
        workspace.0,
    )
    .fetch_optional(connection)
    .await?
    .map(User::try_from)
    .transpose()
}

/// Stores a hash of stronger parameters for the same password.
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
