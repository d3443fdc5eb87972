//! Show one workspace with its policy and its counts.

use domain::{
    access::{Permission, TokenReach},
    names::Slug,
    workspace::{Quota, TokenCounts, WorkspaceOverview},
};
use sqlx::PgConnection;

use super::{Workspaces, list::counted};
use crate::{
    OpContext, ServiceError, access,
    store::{
        policies::{self, Levels},
        tokens, workspaces as store,
    },
};

impl Workspaces<'_> {
    /// Returns a workspace as the caller sees it.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "show",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show(
        &self,
        ctx: &OpContext,
        slug: &Slug,
    ) -> Result<WorkspaceOverview, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, slug, Permission::WorkspaceRead).await?;
        let levels = policies::levels(&mut connection, access.tenant()).await?;
        let (mut counts, mut quota) = (TokenCounts::default(), None);
        if let Some(counted) = counted(ctx, &access) {
            let mut counted = store::counts(&mut connection, &[counted], ctx.now).await?;
            counts = counted.remove(&access.workspace.id).unwrap_or_default();
        }
        // Callers who reach only their own tokens must not see how many other users have.
        if matches!(access.reach, TokenReach::Read | TokenReach::All) {
            quota = nearer_limit(&mut connection, &levels, counts.total).await?;
        }
        Ok(WorkspaceOverview {
            policy: levels.in_force(),
            counts,
            quota,
            role: access.role,
            reach: access.reach,
            workspace: access.workspace,
        })
    }
}

/// Returns whichever of the limits of the instance and of the workspace leaves less room. The
/// instance's limit counts the tokens of all workspaces.
async fn nearer_limit(
    connection: &mut PgConnection,
    levels: &Levels,
    total: i64,
) -> Result<Option<Quota>, ServiceError> {
    let own = levels.workspace.max_tokens.map(|limit| Quota { used: total, limit });
    let above = match levels.instance.max_tokens {
        Some(limit) => Some(Quota { used: tokens::count(connection, None).await?, limit }),
        None => None,
    };
    Ok([own, above].into_iter().flatten().min_by_key(|quota| quota.room()))
}
