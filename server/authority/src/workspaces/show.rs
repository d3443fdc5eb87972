//! One workspace with its policy and its counts.

use domain::{access::Permission, names::Slug, workspace::WorkspaceOverview};

use super::{Workspaces, counts, effective_policy};
use crate::{OpContext, ServiceError, access, store::policies};

impl Workspaces<'_> {
    /// A workspace as the caller sees it.
    pub async fn show(
        &self,
        ctx: &OpContext,
        slug: &Slug,
    ) -> Result<WorkspaceOverview, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, slug, Permission::WorkspaceRead).await?;
        let levels = policies::levels(&mut connection, access.tenant()).await?;
        Ok(WorkspaceOverview {
            policy: effective_policy(&levels),
            counts: counts(&mut connection, &access, ctx.now).await?,
            role: access.role,
            may_manage_tokens: access.permissions.allows(Permission::TokensWrite),
            workspace: access.workspace,
        })
    }
}
