//! The members of a workspace, with their roles and grants.

use domain::{
    grants::GrantPattern,
    ids::{UserId, WorkspaceId},
    names::Email,
    roles::WorkspaceRole,
    token::UserSummary,
    workspace::Member,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, secrets::parse_all};
use crate::kernel::{About, Tenant};

/// Parses the patterns of a membership's row. They are those of `audience_grants`, unless a 0.1
/// server, which does not have that column, has changed `grants` since.
pub(super) fn parse_grants(
    grants: Option<&[String]>,
    audience_grants: Option<&[String]>,
    row: Uuid,
) -> Result<Option<Vec<GrantPattern>>, StoreError> {
    let parse = |texts: &[String]| {
        parse_all(texts).ok_or_else(|| StoreError::corrupt("memberships.grants", row))
    };
    let flat = grants.map(parse).transpose()?;
    let Some(whole) = audience_grants.map(parse).transpose()? else { return Ok(flat) };
    let without: Vec<_> = without_audience(&whole).cloned().collect();
    Ok(if flat.as_ref() == Some(&without) { Some(whole) } else { flat })
}

/// Returns the patterns that a 0.1 server can parse. Patterns with an audience grant nothing there.
fn without_audience(patterns: &[GrantPattern]) -> impl Iterator<Item = &GrantPattern> {
    patterns.iter().filter(|pattern| pattern.audience().is_none())
}

/// Returns the columns `grants` and `audience_grants` of a membership.
fn columns(grants: Option<&[GrantPattern]>) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let Some(patterns) = grants else { return (None, None) };
    let texts = |patterns: &mut dyn Iterator<Item = &GrantPattern>| {
        patterns.map(ToString::to_string).collect::<Vec<_>>()
    };
    let flat = texts(&mut without_audience(patterns));
    let whole = (flat.len() < patterns.len()).then(|| texts(&mut patterns.iter()));
    (Some(flat), whole)
}

struct MemberRow {
    id: Uuid,
    email: String,
    name: String,
    kind: String,
    enabled: bool,
    role: String,
    grants: Option<Vec<String>>,
    audience_grants: Option<Vec<String>>,
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
            grants: parse_grants(row.grants.as_deref(), row.audience_grants.as_deref(), row.id)?,
            user: UserSummary { id: row.id.into(), email: row.email, name: row.name },
            enabled: row.enabled,
            tokens: row.tokens,
            created_at: row.created_at,
            version: row.version,
        })
    }
}

/// Returns the members of a workspace by name, including disabled ones. With `user`, returns only
/// that member.
pub(crate) async fn list(
    connection: &mut PgConnection,
    tenant: Tenant,
    user: Option<UserId>,
) -> Result<Vec<Member>, StoreError> {
    sqlx::query_as!(
        MemberRow,
        r#"SELECT u.id, u.email, u.name, u.kind, u.enabled, m.role, m.grants, m.audience_grants, m.created_at, m.version,
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

/// Returns whether a user with this address is a member. Always takes one query, so that the
/// response time does not reveal whether the address belongs to a user of the instance.
pub(crate) async fn has_address(
    connection: &mut PgConnection,
    tenant: Tenant,
    email: &Email,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM memberships m JOIN users u ON u.id = m.user_id
                WHERE m.workspace_id = $1 AND (u.email = $2 OR u.email_key = $2) AND u.deleted_at IS NULL
           ) AS "exists!""#,
        tenant.id().0,
        email.as_ref(),
    )
    .fetch_one(connection)
    .await?)
}

/// The key of the lock that keeps catalogues and grants consistent.
const GRANTS_LOCK: i64 = 0x7465_7373_6772_616e;

/// Prevents changes of catalogues from altering what grants mean until the transaction ends. Take
/// this lock after those of the workspace, and before reading the catalogues or grants to change.
pub(crate) async fn hold_meaning(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(r#"SELECT true AS "locked!" FROM pg_advisory_xact_lock_shared($1)"#, GRANTS_LOCK)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Waits for transactions that write grants, and blocks new ones until this transaction ends.
pub(crate) async fn lock_meaning(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(r#"SELECT true AS "locked!" FROM pg_advisory_xact_lock($1)"#, GRANTS_LOCK)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Returns the names and slugs of at most 100 of the workspaces that a person belongs to.
pub(crate) async fn names_of_workspaces(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query!(
        "SELECT w.name, w.slug FROM memberships m JOIN workspaces w ON w.id = m.workspace_id
          WHERE m.user_id = $1 ORDER BY w.id LIMIT 100",
        user.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().flat_map(|row| [row.name, row.slug]).collect())
}

/// A membership with patterns that name no audience.
pub(crate) struct FlatGrants {
    pub(crate) workspace: WorkspaceId,
    pub(crate) slug: String,
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) grants: Vec<GrantPattern>,
}

/// Locks the memberships with patterns that name no audience.
pub(crate) async fn flat_grants(
    connection: &mut PgConnection,
) -> Result<Vec<FlatGrants>, StoreError> {
    let rows = sqlx::query!(
        "SELECT m.workspace_id, w.slug, m.user_id, u.email, m.grants, m.audience_grants
           FROM memberships m JOIN workspaces w ON w.id = m.workspace_id JOIN users u ON u.id = m.user_id
          WHERE m.grants <> '{}'
          ORDER BY m.workspace_id, m.user_id
            FOR NO KEY UPDATE OF m"
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().map(|row| {
        let grants =
            parse_grants(row.grants.as_deref(), row.audience_grants.as_deref(), row.user_id)?;
        Ok(FlatGrants {
            workspace: row.workspace_id.into(),
            slug: row.slug,
            user: row.user_id.into(),
            email: row.email,
            grants: grants.unwrap_or_default(),
        })
    });
    read.collect()
}

/// Replaces the grants of a membership with equivalent ones.
pub(crate) async fn set_grants(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    grants: &[GrantPattern],
) -> Result<(), StoreError> {
    let (grants, audience_grants) = columns(Some(grants));
    sqlx::query!(
        "UPDATE memberships SET grants = $3, audience_grants = $4, version = version + 1
          WHERE workspace_id = $1 AND user_id = $2",
        workspace.0,
        user.0,
        grants.as_deref(),
        audience_grants.as_deref(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Updates a member's role and grants.
pub(crate) async fn update(
    connection: &mut PgConnection,
    tenant: Tenant,
    user: UserId,
    role: WorkspaceRole,
    grants: Option<&[GrantPattern]>,
) -> Result<bool, StoreError> {
    let (grants, audience_grants) = columns(grants);
    let outcome = sqlx::query!(
        "UPDATE memberships SET role = $3, grants = $4, audience_grants = $5, version = version + 1
          WHERE workspace_id = $1 AND user_id = $2",
        tenant.id().0,
        user.0,
        role.as_str(),
        grants.as_deref(),
        audience_grants.as_deref(),
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Deletes a membership.
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

/// Adds a user to a workspace. `memberships_pkey` refuses a user who is a member already.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    role: WorkspaceRole,
    grants: Option<&[GrantPattern]>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let (grants, audience_grants) = columns(grants);
    sqlx::query!(
        "INSERT INTO memberships (workspace_id, user_id, role, grants, created_at, audience_grants)
         VALUES ($1, $2, $3, $4, $5, $6)",
        workspace.0,
        user.0,
        role.as_str(),
        grants.as_deref(),
        now,
        audience_grants.as_deref(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the workspace that a request of this person counts towards: the one it concerns if they
/// are a member of it, otherwise the oldest of their workspaces.
pub(crate) async fn workspace_of(
    connection: &mut PgConnection,
    user: UserId,
    about: &About,
) -> Result<Option<WorkspaceId>, StoreError> {
    let (slug, token) = match about {
        About::Unknown => (None, None),
        About::Workspace(slug) => (Some(slug.as_ref()), None),
        About::Token(token) => (None, Some(token.0)),
    };
    let found = sqlx::query_scalar!(
        "SELECT w.id FROM memberships m JOIN workspaces w ON w.id = m.workspace_id
          WHERE m.user_id = $1
          ORDER BY (w.slug = $2 OR w.id = (SELECT workspace_id FROM tokens WHERE id = $3)) IS TRUE DESC,
                   w.created_at, w.id
          LIMIT 1",
        user.0,
        slug,
        token,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(Into::into))
}
