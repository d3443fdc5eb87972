//! The workspaces that a caller sees.

use domain::{access::TokenReach, ids::UserId, workspace::WorkspaceCard};

use super::Workspaces;
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    kernel::Tenant,
    store::workspaces as store,
};

impl Workspaces<'_> {
    /// Returns the workspaces that the caller sees, sorted by name, with two queries for any number
    /// of workspaces.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "list",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list(&self, ctx: &OpContext) -> Result<Vec<WorkspaceCard>, ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        let standings = store::standings(&mut connection, ctx.user_id()).await?;
        let seen: Vec<Access> =
            standings.into_iter().filter_map(|standing| access::visible(ctx, standing)).collect();
        let counted: Vec<_> = seen.iter().filter_map(|access| counted(ctx, access)).collect();
        let mut counts = store::counts(&mut connection, &counted, ctx.now).await?;
        let cards = seen.into_iter().map(|access| WorkspaceCard {
            counts: counts.remove(&access.workspace.id).unwrap_or_default(),
            role: access.role,
            reach: access.reach,
            workspace: access.workspace,
        });
        Ok(cards.collect())
    }
}

/// Returns which tokens the caller may count: those that they reach. A workspace with `None` stands
/// for all of its tokens.
pub(super) fn counted(ctx: &OpContext, access: &Access) -> Option<(Tenant, Option<UserId>)> {
    match access.reach {
        TokenReach::None => None,
        TokenReach::Read | TokenReach::All => Some((access.tenant(), None)),
        TokenReach::Own => ctx.user_id().map(|own| (access.tenant(), Some(own))),
    }
}
