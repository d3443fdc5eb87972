//! Policies: the rules of the instance and of workspaces, and the tokens that they apply to.

use domain::{
    ids::{TokenId, WorkspaceId},
    names::Slug,
    policy::{Policy, PolicyRules},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::kernel::Tenant;

/// The policy of one level: its rules, its version, and when it last changed. A level whose policy
/// was never set has no rules and version 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) rules: PolicyRules,
    pub(crate) version: i64,
    pub(crate) updated_at: Option<OffsetDateTime>,
}

/// The rules of both levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) instance: PolicyRules,
    pub(crate) workspace: PolicyRules,
}

impl Levels {
    /// Returns the policy in force in the workspace.
    pub(crate) fn in_force(&self) -> Policy {
        Policy::in_force(&self.instance, &self.workspace)
    }
}

struct PolicyRow {
    workspace_id: Option<Uuid>,
    max_tokens: Option<i64>,
    default_ttl_s: Option<i64>,
    max_ttl_s: Option<i64>,
    allow_never: Option<bool>,
    prefix: Option<String>,
    unique_names: Option<bool>,
    reveal: Option<String>,
    name_pattern: Option<String>,
    self_service: Option<bool>,
    max_grace_s: Option<i64>,
    on_reuse: Option<String>,
    self_rotate: Option<bool>,
    on_parent_end: Option<String>,
    preset: Option<String>,
    version: i64,
    updated_at: OffsetDateTime,
}

impl TryFrom<PolicyRow> for Level {
    type Error = StoreError;

    fn try_from(row: PolicyRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::corrupt(column, row.workspace_id.unwrap_or_default());
        let reveal = row.reveal.map(|text| text.parse()).transpose();
        let on_reuse = row.on_reuse.map(|text| text.parse()).transpose();
        let on_parent_end = row.on_parent_end.map(|text| text.parse()).transpose();
        Ok(Self {
            rules: PolicyRules {
                max_tokens: row.max_tokens,
                default_ttl_s: row.default_ttl_s,
                max_ttl_s: row.max_ttl_s,
                allow_never: row.allow_never,
                reveal: reveal.map_err(|_| corrupt("policies.reveal"))?,
                prefix: row.prefix,
                unique_names: row.unique_names,
                name_pattern: row.name_pattern,
                self_service: row.self_service,
                max_grace_s: row.max_grace_s,
                on_reuse: on_reuse.map_err(|_| corrupt("policies.on_reuse"))?,
                self_rotate: row.self_rotate,
                on_parent_end: on_parent_end.map_err(|_| corrupt("policies.on_parent_end"))?,
                // An unknown label, from a newer build, must not make the policy unreadable.
                preset: row.preset.and_then(|text| text.parse().ok()),
            },
            version: row.version,
            updated_at: Some(row.updated_at),
        })
    }
}

/// Returns the policy of the instance and, with a tenant, that of the workspace.
pub(crate) async fn stored(
    connection: &mut PgConnection,
    tenant: Option<Tenant>,
) -> Result<(Level, Level), StoreError> {
    let rows = sqlx::query_as!(
        PolicyRow,
        "SELECT workspace_id, max_tokens, default_ttl_s, max_ttl_s, allow_never, prefix, unique_names,
                reveal, name_pattern, self_service, max_grace_s, on_reuse, self_rotate, on_parent_end, preset,
                version, updated_at
           FROM policies WHERE workspace_id = $1 OR workspace_id IS NULL",
        tenant.map(|tenant| tenant.id().0),
    )
    .fetch_all(connection)
    .await?;
    let (mut instance, mut workspace) = (Level::default(), Level::default());
    for row in rows {
        if row.workspace_id.is_some() {
            workspace = row.try_into()?;
        } else {
            instance = row.try_into()?;
        }
    }
    Ok((instance, workspace))
}

/// Returns the rules that apply to a workspace.
pub(crate) async fn levels(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<Levels, StoreError> {
    let (instance, workspace) = stored(connection, Some(tenant)).await?;
    Ok(Levels { instance: instance.rules, workspace: workspace.rules })
}

/// Returns every workspace with its own rules, for operations on the whole instance.
pub(crate) async fn of_all_workspaces(
    connection: &mut PgConnection,
) -> Result<Vec<(WorkspaceId, PolicyRules)>, StoreError> {
    let rows = sqlx::query_as!(
        PolicyRow,
        r#"SELECT w.id AS "workspace_id?", p.max_tokens, p.default_ttl_s, p.max_ttl_s, p.allow_never,
                  p.prefix, p.unique_names, p.reveal, p.name_pattern, p.self_service, p.max_grace_s,
                  p.on_reuse, p.self_rotate, p.on_parent_end, p.preset, COALESCE(p.version, 0) AS "version!",
                  COALESCE(p.updated_at, w.updated_at) AS "updated_at!"
             FROM workspaces w LEFT JOIN policies p ON p.workspace_id = w.id
            ORDER BY w.id"#,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let id = WorkspaceId(row.workspace_id.unwrap_or_default());
            Ok((id, Level::try_from(row)?.rules))
        })
        .collect()
}

/// Replaces the rules of a level: of the workspace, or of the instance for `None`. The caller holds
/// the lock on the level's row, which is the workspace's or the instance's.
pub(crate) async fn replace(
    connection: &mut PgConnection,
    id: Uuid,
    tenant: Option<Tenant>,
    rules: &PolicyRules,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    // This is not an upsert, because ON CONFLICT names a single index or constraint. An index on an
    // expression makes the instance's row unique, and a constraint the workspace's.
    let workspace = tenant.map(|tenant| tenant.id().0);
    let (reveal, on_reuse, on_parent_end, preset) = (
        rules.reveal.map(domain::policy::Reveal::as_str),
        rules.on_reuse.map(domain::policy::OnReuse::as_str),
        rules.on_parent_end.map(domain::policy::OnParentEnd::as_str),
        rules.preset.map(domain::preset::Preset::as_str),
    );
    let changed = sqlx::query!(
        "UPDATE policies SET max_tokens = $2, default_ttl_s = $3, max_ttl_s = $4, allow_never = $5,
                prefix = $6, unique_names = $7, reveal = $8, name_pattern = $9, self_service = $10,
                max_grace_s = $11, on_reuse = $12, preset = $13, updated_at = $14, self_rotate = $15,
                on_parent_end = $16, version = version + 1
          WHERE workspace_id IS NOT DISTINCT FROM $1",
        workspace,
        rules.max_tokens,
        rules.default_ttl_s,
        rules.max_ttl_s,
        rules.allow_never,
        rules.prefix,
        rules.unique_names,
        reveal,
        rules.name_pattern,
        rules.self_service,
        rules.max_grace_s,
        on_reuse,
        preset,
        now,
        rules.self_rotate,
        on_parent_end,
    )
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() == 1 {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO policies (id, workspace_id, max_tokens, default_ttl_s, max_ttl_s, allow_never, prefix,
                               unique_names, reveal, name_pattern, self_service, max_grace_s, on_reuse,
                               preset, updated_at, self_rotate, on_parent_end)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        id,
        workspace,
        rules.max_tokens,
        rules.default_ttl_s,
        rules.max_ttl_s,
        rules.allow_never,
        rules.prefix,
        rules.unique_names,
        reveal,
        rules.name_pattern,
        rules.self_service,
        rules.max_grace_s,
        on_reuse,
        preset,
        now,
        rules.self_rotate,
        on_parent_end,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The facts of a token that a policy applies to.
pub(crate) struct FitRow {
    pub(crate) id: TokenId,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) workspace: Slug,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) recoverable: bool,
    pub(crate) name_repeats: bool,
}

/// The rules of policies about names. With any such rule, every token is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRules {
    Nothing,
    /// Names must match a pattern.
    Patterns,
    /// Names must be unique. Repeated names are looked up only with this rule.
    Unique,
}

/// The tokens to examine when a policy is compared with up to a million of them: those that match
/// any of these criteria.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FitSearch {
    pub(crate) names: NameRules,
    /// Tokens that never expire.
    pub(crate) endless: bool,
    /// Recoverable tokens.
    pub(crate) recoverable: bool,
    /// Tokens whose lifetime is longer than this, in seconds.
    pub(crate) longer_than_s: Option<i64>,
}

/// Returns up to `limit` unexpired tokens that match the search, with ids greater than `after`,
/// ordered by id: those of a workspace, or of all workspaces for `None`.
pub(crate) async fn tokens_to_fit(
    connection: &mut PgConnection,
    tenant: Option<Tenant>,
    search: FitSearch,
    after: TokenId,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<FitRow>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT t.id, t.workspace_id, w.slug, t.name, u.email, t.created_at, t.expires_at, t.recoverable,
                  $2 AND EXISTS (SELECT FROM tokens o
                                  WHERE o.workspace_id = t.workspace_id AND o.name_key = t.name_key
                                    AND o.id <> t.id AND o.deleted_at IS NULL) AS "name_repeats!"
             FROM tokens t JOIN workspaces w ON w.id = t.workspace_id JOIN users u ON u.id = t.user_id
            WHERE t.deleted_at IS NULL AND ($1::uuid IS NULL OR t.workspace_id = $1)
              AND (t.expires_at IS NULL OR t.expires_at > $5) AND t.id > $3
              AND ($6 OR ($7 AND t.expires_at IS NULL) OR ($8 AND t.recoverable)
                   OR t.expires_at - t.created_at > make_interval(secs => $9::bigint::float8))
            ORDER BY t.id LIMIT $4"#,
        tenant.map(|tenant| tenant.id().0),
        search.names == NameRules::Unique,
        after.0,
        limit,
        now,
        search.names != NameRules::Nothing,
        search.endless,
        search.recoverable,
        search.longer_than_s,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(FitRow {
                id: row.id.into(),
                workspace_id: row.workspace_id.into(),
                workspace: row
                    .slug
                    .parse()
                    .map_err(|_| StoreError::corrupt("workspaces.slug", row.workspace_id))?,
                name: row.name,
                user: row.email,
                created_at: row.created_at,
                expires_at: row.expires_at,
                recoverable: row.recoverable,
                name_repeats: row.name_repeats,
            })
        })
        .collect()
}

/// Checks whether presenting a replaced secret after its grace period disables the token, which
/// the policy of either level may require. Read only in this case, so that verification needs
/// no policy.
pub(crate) async fn disables_on_reuse(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM policies WHERE (workspace_id = $1 OR workspace_id IS NULL)
                                                 AND on_reuse = 'disable') AS "disables!""#,
        tenant.id().0,
    )
    .fetch_one(connection)
    .await?)
}

/// Checks whether stopping a token also stops the tokens that it created, which the policy of
/// either level may require.
pub(crate) async fn ends_children(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM policies WHERE (workspace_id = $1 OR workspace_id IS NULL)
                                                 AND on_parent_end = 'end') AS "ends!""#,
        tenant.id().0,
    )
    .fetch_one(connection)
    .await?)
}
