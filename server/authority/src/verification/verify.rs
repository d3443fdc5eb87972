//! Verifies another party's token for a gateway or a service.

use crate::{
    OpContext, ServiceError, access,
    facts::Presenter,
    kernel::{Actor, Facts, Verifies},
    lookup::Lookup,
    store::workspaces,
    verification::{Decision, Verification, verifies},
};
use domain::{
    access::{Permission, Permissions},
    decision::Demand,
    names::Slug,
};

impl Verification<'_> {
    /// Decides whether the presented token may do what is demanded, for a caller who may verify
    /// tokens: in the caller's own workspaces, or in all workspaces if the caller manages the
    /// instance. Other tokens are answered like texts that are not tokens.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`; `Forbidden` or `InsufficientScope` for callers who may not verify
    /// anywhere.
    #[tracing::instrument(skip_all, fields(
        noun = "verification", verb = "verify",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn verify(
        &self,
        ctx: &OpContext,
        presented: &str,
        demand: &Demand,
    ) -> Result<Decision, ServiceError> {
        self.may_verify(ctx).await?;
        let decision = self.decision(ctx, presented, demand).await?;
        self.inner.counters.decided(decision.code);
        Ok(decision)
    }

    async fn decision(
        &self,
        ctx: &OpContext,
        presented: &str,
        demand: &Demand,
    ) -> Result<Decision, ServiceError> {
        let from = Presenter::asked_by(ctx, demand.ip);
        let looked = match self.inner.look_up(presented, from).await? {
            Lookup::Facts(looked) => looked,
            Lookup::Nothing(code) => return Ok(Decision::without_facts(code)),
        };
        if !self.may_verify_token(ctx, &looked.known).await? {
            return self.inner.as_unknown(presented, from).map(Decision::without_facts);
        }
        // The agent that sends the request is not the one that presented the token.
        self.answer(ctx, looked, demand, None).await
    }

    /// Refuses callers who may not verify anywhere, before anything is read or looked up for them.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`; `Forbidden` or `InsufficientScope`.
    #[tracing::instrument(skip_all, fields(
        noun = "verification", verb = "may_verify",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn may_verify(&self, ctx: &OpContext) -> Result<(), ServiceError> {
        match &ctx.actor {
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
            Actor::Restricted(_) => Err(ServiceError::PasswordChangeRequired),
            Actor::Operator => Ok(()),
            // The facts contain the result of an authorisation, which saves this frequent request a
            // query.
            Actor::Token(facts) if facts.surroundings.verifies != Verifies::Nobody => Ok(()),
            Actor::Token(facts) => {
                let mut connection = self.inner.connection().await?;
                access::authorise(
                    &mut connection,
                    ctx,
                    &facts.surroundings.workspace,
                    Permission::Verify,
                )
                .await
                .map(drop)
            }
            Actor::User(_) => {
                let mut connection = self.inner.connection().await?;
                let standings = workspaces::standings(&mut connection, ctx.user_id()).await?;
                let anywhere = standings
                    .iter()
                    .any(|standing| access::permissions(ctx, standing).allows(Permission::Verify));
                if anywhere {
                    Ok(())
                } else {
                    Err(ServiceError::Forbidden("Your roles don't allow you to verify tokens."))
                }
            }
        }
    }

    /// Returns whether the caller, who may verify somewhere, may verify this token.
    pub(super) async fn may_verify_token(
        &self,
        ctx: &OpContext,
        facts: &Facts,
    ) -> Result<bool, ServiceError> {
        if let Actor::Token(own) = &ctx.actor {
            return Ok(verifies(own, facts));
        }
        self.allows(ctx, &facts.surroundings.workspace, Permission::Verify).await
    }

    async fn allows(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        permission: Permission,
    ) -> Result<bool, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let standing =
            workspaces::standing_by_slug(&mut connection, workspace, ctx.user_id()).await?;
        let permissions =
            standing.map_or(Permissions::NONE, |standing| access::permissions(ctx, &standing));
        Ok(permissions.allows(permission))
    }
}
