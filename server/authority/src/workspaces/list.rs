//! The workspaces that a caller sees.

use domain::{access::Permission, workspace::WorkspaceCard};

use super::Workspaces;
use crate::{
    OpContext, ServiceError,
    access::{self, Access, Tenant},
    store::workspaces as store,
};

impl Workspaces<'_> {
    /// The workspaces that the caller sees, by name. Two queries, however many there are.
    pub async fn list(&self, ctx: &OpContext) -> Result<Vec<WorkspaceCard>, ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        let standings = store::standings(&mut connection, ctx.user_id()).await?;
        let seen: Vec<Access> =
            standings.into_iter().filter_map(|standing| access::visible(ctx, standing)).collect();
        let counted: Vec<Tenant> = seen
            .iter()
            .filter(|access| access.permissions.allows(Permission::TokensRead))
            .map(Access::tenant)
            .collect();
        let mut counts = store::counts(&mut connection, &counted, ctx.now).await?;
        let cards = seen.into_iter().map(|access| WorkspaceCard {
            counts: counts.remove(&access.workspace.id).unwrap_or_default(),
            role: access.role,
            may_manage_tokens: access.permissions.allows(Permission::TokensWrite),
            workspace: access.workspace,
        });
        Ok(cards.collect())
    }
}
