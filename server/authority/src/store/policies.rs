//! Policies: the rules of the instance and of workspaces.

use domain::policy::PolicyRules;
use sqlx::PgConnection;

use super::StoreError;
use crate::access::Tenant;

/// The rules of both levels; where a level sets nothing, its rules are empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    pub(crate) instance: PolicyRules,
    pub(crate) workspace: PolicyRules,
}

/// The rules that bear on a workspace.
pub(crate) async fn levels(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<Levels, StoreError> {
    let rows = sqlx::query!(
        "SELECT workspace_id, max_tokens, default_ttl_s, max_ttl_s, allow_never, prefix, unique_names,
                reveal
           FROM policies WHERE workspace_id = $1 OR workspace_id IS NULL",
        tenant.id().0,
    )
    .fetch_all(connection)
    .await?;
    let mut levels = Levels::default();
    for row in rows {
        let rules = PolicyRules {
            max_tokens: row.max_tokens,
            default_ttl_s: row.default_ttl_s,
            max_ttl_s: row.max_ttl_s,
            allow_never: row.allow_never,
            prefix: row.prefix,
            unique_names: row.unique_names,
            reveal: row
                .reveal
                .map(|reveal| reveal.parse())
                .transpose()
                .map_err(|_| StoreError::corrupt("policies.reveal", tenant.id()))?,
        };
        if row.workspace_id.is_some() {
            levels.workspace = rules;
        } else {
            levels.instance = rules;
        }
    }
    Ok(levels)
}

/// Whether a replaced secret that is presented after its end disables its token: either level may
/// want so. Asked for when that happens, so that a verification needs no policy.
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
