//! The workspaces that a caller sees.

use domain::{access::Permission, workspace::WorkspaceCard};

use super::Workspaces;
use crate::{
    OpContext, ServiceError,
    access::{self, Tenant},
    store::workspaces as store,
};

impl Workspaces<'_> {
    /// The workspaces that the caller sees, by name. Two queries, however many there are.
    pub async fn list(&self, ctx: &OpContext) -> Result<Vec<WorkspaceCard>, ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        let mut seen = Vec::new();
        for standing in store::standings(&mut connection, ctx.user_id()).await? {
            let permissions = access::permissions(ctx, &standing);
            if permissions.allows(Permission::WorkspaceRead) {
                seen.push((standing, permissions));
            }
        }
        let counted: Vec<Tenant> = seen
            .iter()
            .filter(|(_, permissions)| permissions.allows(Permission::TokensRead))
            .map(|(standing, _)| Tenant::of(standing))
            .collect();
        let mut counts = store::counts(&mut connection, &counted, ctx.now).await?;
        let cards = seen.into_iter().map(|(standing, permissions)| WorkspaceCard {
            counts: counts.remove(&standing.workspace.id).unwrap_or_default(),
            role: standing.role,
            may_manage_tokens: permissions.allows(Permission::TokensWrite),
            workspace: standing.workspace,
        });
        Ok(cards.collect())
    }
}
