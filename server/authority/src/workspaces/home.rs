//! The workspace of callers who name none.

use domain::{access::Permission, names::Slug};

use super::Workspaces;
use crate::{
    Actor, OpContext, ServiceError,
    access::{makes_tokens, permissions},
    kernel::About,
    shares::Holder,
    store::workspaces as store,
};

impl Workspaces<'_> {
    /// Returns the workspace of a caller who names none, as in APIs without workspaces: a token's
    /// own, or a person's first one.
    ///
    /// A person's first workspace is chosen among those that they see: preferably one in which they
    /// may create tokens, then one that they are a member of, and then the oldest. So a workspace
    /// that is added later changes nothing for them.
    ///
    /// # Errors
    /// `Forbidden` for people who see no workspace; `NotFound` for the command line, which is
    /// in none.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "home",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn home(&self, ctx: &OpContext) -> Result<Slug, ServiceError> {
        match &ctx.actor {
            Actor::Restricted(_) => return Err(ServiceError::PasswordChangeRequired),
            Actor::Anonymous => return Err(ServiceError::Unauthenticated),
            Actor::Operator => return Err(ServiceError::NotFound("workspace")),
            Actor::Token(facts) => return Ok(facts.surroundings.workspace.clone()),
            Actor::User(_) => {}
        }
        let mut connection = self.inner.connection().await?;
        let standings = store::standings(&mut connection, ctx.user_id()).await?;
        drop(connection);
        let home = standings
            .into_iter()
            .filter(|standing| permissions(ctx, standing).allows(Permission::WorkspaceRead))
            .min_by_key(|standing| {
                let workspace = &standing.workspace;
                let makes = makes_tokens(ctx, standing);
                (!makes, standing.role.is_none(), workspace.created_at, workspace.id)
            })
            .map(|standing| standing.workspace.slug)
            .ok_or(ServiceError::Forbidden("You are not a member of any workspace."))?;
        Holder::current().concerns(About::Workspace(home.clone()));
        Ok(home)
    }
}
