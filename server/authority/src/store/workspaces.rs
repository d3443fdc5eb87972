//! Workspaces and who belongs to them.

use domain::{
    ids::{UserId, WorkspaceId},
    names::{DisplayName, Slug},
    roles::{InstanceRole, WorkspaceRole},
    token::UserSummary,
    workspace::{Member, TokenCounts, Workspace},
};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::StoreError;
use crate::access::Tenant;

/// How soon an end is "soon".
const EXPIRING: Duration = Duration::days(14);

/// A workspace and what a certain user is in it, at present.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) workspace: Workspace,
    pub(crate) role: Option<WorkspaceRole>,
    /// `None` when there is no such user or it is disabled.
    pub(crate) instance_role: Option<InstanceRole>,
}

struct StandingRow {
    id: Uuid,
    slug: String,
    name: String,
    created_at: OffsetDateTime,
    role: Option<String>,
    instance_role: Option<String>,
}

impl TryFrom<StandingRow> for Standing {
    type Error = StoreError;

    fn try_from(row: StandingRow) -> Result<Self, StoreError> {
        let role = row.role.map(|role| role.parse()).transpose();
        let instance_role = row.instance_role.map(|role| role.parse()).transpose();
        Ok(Self {
            workspace: workspace(row.id, &row.slug, &row.name, row.created_at)?,
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
) -> Result<Workspace, StoreError> {
    Ok(Workspace {
        id: id.into(),
        slug: slug.parse().map_err(|_| StoreError::corrupt("workspaces.slug", id))?,
        name: name.parse().map_err(|_| StoreError::corrupt("workspaces.name", id))?,
        created_at,
    })
}

/// The workspace of this slug, with the standing of `user` (nobody when `None`).
pub(crate) async fn standing_by_slug(
    connection: &mut PgConnection,
    slug: &Slug,
    user: Option<UserId>,
) -> Result<Option<Standing>, StoreError> {
    sqlx::query_as!(
        StandingRow,
        r#"SELECT w.id, w.slug, w.name, w.created_at, m.role AS "role?", u.instance_role AS "instance_role?"
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

/// The workspace that a token belongs to, with the standing of `user`. Tombstones belong nowhere.
pub(crate) async fn standing_by_token(
    connection: &mut PgConnection,
    token: domain::ids::TokenId,
    user: Option<UserId>,
) -> Result<Option<Standing>, StoreError> {
    sqlx::query_as!(
        StandingRow,
        r#"SELECT w.id, w.slug, w.name, w.created_at, m.role AS "role?", u.instance_role AS "instance_role?"
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

/// Every workspace with the standing of `user`, by name. The caller leaves out what may not be seen.
pub(crate) async fn standings(
    connection: &mut PgConnection,
    user: Option<UserId>,
) -> Result<Vec<Standing>, StoreError> {
    sqlx::query_as!(
        StandingRow,
        r#"SELECT w.id, w.slug, w.name, w.created_at, m.role AS "role?", u.instance_role AS "instance_role?"
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

/// Inserts a workspace. `workspaces_slug_unique` refuses a slug that is in use.
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

/// Makes a user a member.
pub(crate) async fn insert_member(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    role: WorkspaceRole,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO memberships (workspace_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)",
        workspace.0,
        user.0,
        role.as_str(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A user's role in a workspace.
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

/// The members of a workspace that are enabled, by name.
pub(crate) async fn members(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<Vec<Member>, StoreError> {
    sqlx::query!(
        "SELECT u.id, u.email, u.name, u.kind, m.role
           FROM memberships m JOIN users u ON u.id = m.user_id
          WHERE m.workspace_id = $1 AND u.enabled
          ORDER BY lower(u.name), u.id",
        tenant.id().0,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Member {
            kind: row.kind.parse().map_err(|_| StoreError::corrupt("users.kind", row.id))?,
            role: row.role.parse().map_err(|_| StoreError::corrupt("memberships.role", row.id))?,
            user: UserSummary { id: row.id.into(), email: row.email, name: row.name },
        })
    })
    .collect()
}

/// How many tokens a workspace has, by state.
pub(crate) async fn counts(
    connection: &mut PgConnection,
    tenant: Tenant,
    now: OffsetDateTime,
) -> Result<TokenCounts, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "total!",
                  count(*) FILTER (WHERE enabled AND NOT ended AND NOT early) AS "active!",
                  count(*) FILTER (WHERE enabled AND NOT ended AND NOT early AND expires_at <= $3) AS "expiring!",
                  count(*) FILTER (WHERE ended) AS "expired!",
                  count(*) FILTER (WHERE NOT enabled AND NOT ended) AS "disabled!",
                  count(*) FILTER (WHERE last_used_at IS NULL) AS "never_used!"
             FROM (SELECT enabled, expires_at, last_used_at,
                          COALESCE(expires_at <= $2, false) AS ended,
                          COALESCE(not_before > $2, false) AS early
                     FROM tokens WHERE workspace_id = $1 AND deleted_at IS NULL) AS t"#,
        tenant.id().0,
        now,
        now + EXPIRING,
    )
    .fetch_one(connection)
    .await?;
    Ok(TokenCounts {
        total: row.total,
        active: row.active,
        expiring: row.expiring,
        expired: row.expired,
        disabled: row.disabled,
        never_used: row.never_used,
    })
}

/// Locks the workspace's row until the transaction ends: creations that a rule of the workspace
/// bounds happen one after another.
pub(crate) async fn lock(connection: &mut PgConnection, tenant: Tenant) -> Result<(), StoreError> {
    sqlx::query!("SELECT id FROM workspaces WHERE id = $1 FOR NO KEY UPDATE", tenant.id().0)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// The same for a rule of the whole instance.
pub(crate) async fn lock_instance(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT singleton FROM instance FOR NO KEY UPDATE")
        .fetch_optional(connection)
        .await?;
    Ok(())
}
