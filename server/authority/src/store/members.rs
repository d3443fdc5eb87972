//! Who belongs to a workspace, as what, and with which grants.

use domain::{
    grants::GrantPattern,
    ids::{UserId, WorkspaceId},
    roles::WorkspaceRole,
    token::UserSummary,
    workspace::Member,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, secrets::parse_all};
use crate::access::Tenant;

/// Reads the patterns of a membership's row.
pub(super) fn parse_grants(
    grants: Option<Vec<String>>,
    row: Uuid,
) -> Result<Option<Vec<GrantPattern>>, StoreError> {
    let parse = |texts: Vec<String>| {
        parse_all(&texts).ok_or_else(|| StoreError::corrupt("memberships.grants", row))
    };
    grants.map(parse).transpose()
}

struct MemberRow {
    id: Uuid,
    email: String,
    name: String,
    kind: String,
    enabled: bool,
    role: String,
    grants: Option<Vec<String>>,
    tokens: i64,
    created_at: OffsetDateTime,
    version: i64,
}

impl TryFrom<MemberRow> for Member {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self, StoreError> {
        Ok(Self {
            kind: row.kind.parse().map_err(|_| StoreError::corrupt("users.kind", row.id))?,
            role: row.role.parse().map_err(|_| StoreError::corrupt("memberships.role", row.id))?,
            grants: parse_grants(row.grants, row.id)?,
            user: UserSummary { id: row.id.into(), email: row.email, name: row.name },
            enabled: row.enabled,
            tokens: row.tokens,
            created_at: row.created_at,
            version: row.version,
        })
    }
}

/// The members of a workspace, by name, disabled ones included; with `user`, that one alone.
pub(crate) async fn list(
    connection: &mut PgConnection,
    tenant: Tenant,
    user: Option<UserId>,
) -> Result<Vec<Member>, StoreError> {
    sqlx::query_as!(
        MemberRow,
        r#"SELECT u.id, u.email, u.name, u.kind, u.enabled, m.role, m.grants, m.created_at, m.version,
                  (SELECT count(*) FROM tokens t
                    WHERE t.user_id = u.id AND t.workspace_id = $1 AND t.deleted_at IS NULL) AS "tokens!"
             FROM memberships m JOIN users u ON u.id = m.user_id
            WHERE m.workspace_id = $1 AND ($2::uuid IS NULL OR m.user_id = $2) AND u.deleted_at IS NULL
            ORDER BY lower(u.name), u.id"#,
        tenant.id().0,
        user.map(|user| user.0),
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Member::try_from)
    .collect()
}

/// Changes a member's role and grants.
pub(crate) async fn update(
    connection: &mut PgConnection,
    tenant: Tenant,
    user: UserId,
    role: WorkspaceRole,
    grants: Option<&[GrantPattern]>,
) -> Result<bool, StoreError> {
    let grants = texts(grants);
    let outcome = sqlx::query!(
        "UPDATE memberships SET role = $3, grants = $4, version = version + 1
          WHERE workspace_id = $1 AND user_id = $2",
        tenant.id().0,
        user.0,
        role.as_str(),
        grants.as_deref(),
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Ends a membership.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    tenant: Tenant,
    user: UserId,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "DELETE FROM memberships WHERE workspace_id = $1 AND user_id = $2",
        tenant.id().0,
        user.0,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

fn texts(grants: Option<&[GrantPattern]>) -> Option<Vec<String>> {
    grants.map(|grants| grants.iter().map(ToString::to_string).collect())
}

/// Makes a user a member. `memberships_pkey` refuses one who is a member already.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    role: WorkspaceRole,
    grants: Option<&[GrantPattern]>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let grants = texts(grants);
    sqlx::query!(
        "INSERT INTO memberships (workspace_id, user_id, role, grants, created_at) VALUES ($1, $2, $3, $4, $5)",
        workspace.0,
        user.0,
        role.as_str(),
        grants.as_deref(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
