//! The workspaces that a caller sees.

use domain::{access::Permission, workspace::WorkspaceCard};

use super::{Workspaces, counts};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    store::workspaces as store,
};

impl Workspaces<'_> {
    /// The workspaces that the caller sees, by name.
    pub async fn list(&self, ctx: &OpContext) -> Result<Vec<WorkspaceCard>, ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        let mut cards = Vec::new();
        for standing in store::standings(&mut connection, ctx.user_id()).await? {
            let permissions = access::permissions(ctx, &standing);
            if !permissions.allows(Permission::WorkspaceRead) {
                continue;
            }
            let access = Access { workspace: standing.workspace, role: standing.role, permissions };
            cards.push(WorkspaceCard {
                counts: counts(&mut connection, &access, ctx.now).await?,
                role: access.role,
                may_manage_tokens: permissions.allows(Permission::TokensWrite),
                workspace: access.workspace,
            });
        }
        Ok(cards)
    }
}
