//! Workspaces, and the roles of users in them.

use std::collections::HashMap;

use domain::{
    grants::GrantPattern,
    ids::{UserId, WorkspaceId},
    names::{DisplayName, Slug},
    policy::{Policy, PolicyRules},
    roles::{InstanceRole, WorkspaceRole},
    workspace::{TokenCounts, Workspace},
};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{StoreError, members};
use crate::kernel::Tenant;

/// The time before expiry in which a token counts as expiring soon.
const EXPIRING: Duration = Duration::days(14);

/// A workspace and the current role of a user in it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) workspace: Workspace,
    pub(crate) role: Option<WorkspaceRole>,
    /// Patterns of the scopes that the user may put on tokens. `None` means those that the
    /// role allows.
    pub(crate) grants: Option<Vec<GrantPattern>>,
    /// Whether members manage their own tokens.
    pub(crate) self_service: bool,
    /// The owner of the token that the workspace was looked up by.
    pub(crate) token_user: Option<UserId>,
    /// `None` if the user does not exist or is disabled.
    pub(crate) instance_role: Option<InstanceRole>,
}

struct StandingRow {
    id: Uuid,
    slug: String,
    name: String,
    created_at: OffsetDateTime,
    version: i64,
    role: Option<String>,
    grants: Option<Vec<String>>,
    audience_grants: Option<Vec<String>>,
    instance_role: Option<String>,
    instance_self_service: Option<bool>,
    workspace_self_service: Option<bool>,
    token_user: Option<Uuid>,
}

impl TryFrom<StandingRow> for Standing {
    type Error = StoreError;

    fn try_from(row: StandingRow) -> Result<Self, StoreError> {
        let role = row.role.map(|role| role.parse()).transpose();
        let instance_role = row.instance_role.map(|role| role.parse()).transpose();
        let level = |self_service| PolicyRules { self_service, ..PolicyRules::default() };
        let policy =
            Policy::in_force(&level(row.instance_self_service), &level(row.workspace_self_service));
        Ok(Self {
            workspace: workspace(row.id, &row.slug, &row.name, row.created_at, row.version)?,
            grants: members::parse_grants(
                row.grants.as_deref(),
                row.audience_grants.as_deref(),
                row.id,
            )?,
            self_service: policy.self_service,
            token_user: row.token_user.map(UserId),
            role: role.map_err(|_| StoreError::corrupt("memberships.role", row.id))?,
            instance_role: instance_role
                .map_err(|_| StoreError::corrupt("users.instance_role", row.id))?,
        })
    }
}

fn workspace(
    id: Uuid,
    slug: &str,
    name: &str,
    created_at: OffsetDateTime,
    version: i64,
) -> Result<Workspace, StoreError> {
    Ok(Workspace {
        id: id.into(),
        slug: slug.parse().map_err(|_| StoreError::corrupt("workspaces.slug", id))?,
        name: name.parse().map_err(|_| StoreError::corrupt("workspaces.name", id))?,
        created_at,
        version,
    })
}

/// Returns the workspace with this slug and the standing of `user` in it (of no one, for `None`).
pub(crate) async fn standing_by_slug(
    connection: &mut PgConnection,
    slug: &Slug,
    user: Option<UserId>,
) -> Result<Option<Standing>, StoreError> {
    sqlx::query_as!(
        StandingRow,
        r#"SELECT w.id, w.slug, w.name, w.created_at, w.version, m.role AS "role?", m.grants AS "grants?",
                  m.audience_grants AS "audience_grants?",
                  u.instance_role AS "instance_role?", NULL::uuid AS "token_user?",
                  (SELECT self_service FROM policies WHERE workspace_id IS NULL) AS instance_self_service,
                  (SELECT self_service FROM policies WHERE workspace_id = w.id) AS workspace_self_service
             FROM workspaces w
             LEFT JOIN users u ON u.id = $2 AND u.enabled
             LEFT JOIN memberships m ON m.workspace_id = w.id AND m.user_id = u.id
            WHERE w.slug = $1"#,
        slug.as_ref(),
        user.map(|user| user.0),
    )
    .fetch_optional(connection)
    .await?
    .map(Standing::try_from)
    .transpose()
}

/// Returns the workspace that a token belongs to, with the standing of `user`. Returns `None` for
/// deleted tokens.
pub(crate) async fn standing_by_token(
    connection: &mut PgConnection,
    token: domain::ids::TokenId,
    user: Option<UserId>,
) -> Result<Option<Standing>, StoreError> {
    sqlx::query_as!(
        StandingRow,
        r#"SELECT w.id, w.slug, w.name, w.created_at, w.version, m.role AS "role?", m.grants AS "grants?",
                  m.audience_grants AS "audience_grants?",
                  u.instance_role AS "instance_role?", t.user_id AS "token_user?",
                  (SELECT self_service FROM policies WHERE workspace_id IS NULL) AS instance_self_service,
                  (SELECT self_service FROM policies WHERE workspace_id = w.id) AS workspace_self_service
             FROM tokens t
             JOIN workspaces w ON w.id = t.workspace_id
             LEFT JOIN users u ON u.id = $2 AND u.enabled
             LEFT JOIN memberships m ON m.workspace_id = w.id AND m.user_id = u.id
            WHERE t.id = $1 AND t.deleted_at IS NULL"#,
        token.0,
        user.map(|user| user.0),
    )
    .fetch_optional(connection)
    .await?
    .map(Standing::try_from)
    .transpose()
}

/// Returns every workspace with the standing of `user`, ordered by name. The caller omits those
/// that may not be seen.
pub(crate) async fn standings(
    connection: &mut PgConnection,
    user: Option<UserId>,
) -> Result<Vec<Standing>, StoreError> {
    sqlx::query_as!(
        StandingRow,
        r#"SELECT w.id, w.slug, w.name, w.created_at, w.version, m.role AS "role?", m.grants AS "grants?",
                  m.audience_grants AS "audience_grants?",
                  u.instance_role AS "instance_role?", NULL::uuid AS "token_user?",
                  (SELECT self_service FROM policies WHERE workspace_id IS NULL) AS instance_self_service,
                  (SELECT self_service FROM policies WHERE workspace_id = w.id) AS workspace_self_service
             FROM workspaces w
             LEFT JOIN users u ON u.id = $1 AND u.enabled
             LEFT JOIN memberships m ON m.workspace_id = w.id AND m.user_id = u.id
            ORDER BY lower(w.name), w.id"#,
        user.map(|user| user.0),
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Standing::try_from)
    .collect()
}

/// Inserts a workspace. `workspaces_slug_unique` rejects a slug that is in use.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: WorkspaceId,
    slug: &Slug,
    name: &DisplayName,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO workspaces (id, slug, name, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)",
        id.0,
        slug.as_ref(),
        name.as_ref(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns a user's role in a workspace.
pub(crate) async fn role(
    connection: &mut PgConnection,
    tenant: Tenant,
    user: UserId,
) -> Result<Option<WorkspaceRole>, StoreError> {
    sqlx::query_scalar!(
        "SELECT role FROM memberships WHERE workspace_id = $1 AND user_id = $2",
        tenant.id().0,
        user.0,
    )
    .fetch_optional(connection)
    .await?
    .map(|role| role.parse().map_err(|_| StoreError::corrupt("memberships.role", user)))
    .transpose()
}

/// Renames a workspace.
pub(crate) async fn rename(
    connection: &mut PgConnection,
    tenant: Tenant,
    name: &DisplayName,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE workspaces SET name = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        tenant.id().0,
        name.as_ref(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the version of a workspace's row. For use under [`lock`].
pub(crate) async fn version(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("SELECT version FROM workspaces WHERE id = $1", tenant.id().0)
        .fetch_one(connection)
        .await?)
}

/// Returns the number of tokens in each of these workspaces, by state. If a workspace is paired
/// with a user, counts only the tokens that act as this user. Omits workspaces without tokens.
pub(crate) async fn counts(
    connection: &mut PgConnection,
    counted: &[(Tenant, Option<UserId>)],
    now: OffsetDateTime,
) -> Result<HashMap<WorkspaceId, TokenCounts>, StoreError> {
    let (tenants, users): (Vec<Uuid>, Vec<Option<Uuid>>) =
        counted.iter().map(|(tenant, user)| (tenant.id().0, user.map(|user| user.0))).unzip();
    let rows = sqlx::query!(
        r#"SELECT workspace_id,
                  count(*) AS "total!",
                  count(*) FILTER (WHERE enabled AND NOT ended AND NOT early) AS "active!",
                  count(*) FILTER (WHERE enabled AND NOT ended AND NOT early AND expires_at <= $3) AS "expiring!",
                  count(*) FILTER (WHERE ended) AS "expired!",
                  count(*) FILTER (WHERE NOT enabled AND NOT ended) AS "disabled!",
                  count(*) FILTER (WHERE last_used_at IS NULL) AS "never_used!"
             FROM (SELECT workspace_id, enabled, expires_at, last_used_at,
                          COALESCE(expires_at <= $2, false) AS ended,
                          COALESCE(not_before > $2, false) AS early
                     FROM tokens
                     JOIN unnest($1::uuid[], $4::uuid[]) AS counted (id, owner)
                       ON workspace_id = counted.id
                      AND (counted.owner IS NULL OR user_id = counted.owner)
                    WHERE deleted_at IS NULL) AS t
            GROUP BY workspace_id"#,
        &tenants,
        now,
        now + EXPIRING,
        &users as &[Option<Uuid>],
    )
    .fetch_all(connection)
    .await?;
    let counts = rows.into_iter().map(|row| {
        let counts = TokenCounts {
            total: row.total,
            active: row.active,
            expiring: row.expiring,
            expired: row.expired,
            disabled: row.disabled,
            never_used: row.never_used,
        };
        (WorkspaceId(row.workspace_id), counts)
    });
    Ok(counts.collect())
}

/// Locks the workspace's row until the transaction ends, which serializes creations that a rule of
/// the workspace limits.
pub(crate) async fn lock(connection: &mut PgConnection, tenant: Tenant) -> Result<(), StoreError> {
    sqlx::query!("SELECT id FROM workspaces WHERE id = $1 FOR NO KEY UPDATE", tenant.id().0)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Locks the instance's row in the same way, for a rule of the whole instance.
pub(crate) async fn lock_instance(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT singleton FROM instance FOR NO KEY UPDATE")
        .fetch_optional(connection)
        .await?;
    Ok(())
}
