//! Decides about a token that is presented at a gateway without a caller's credential.

use domain::decision::Demand;

use crate::{
    OpContext, ServiceError,
    facts::Presenter,
    lookup::Lookup,
    verification::{Decision, Verification},
};

impl Verification<'_> {
    /// Decides whether the presented token may do what is demanded. Needs no other credential: the
    /// answer reveals nothing to the bearer that using the token would not.
    #[tracing::instrument(skip_all, fields(
        noun = "verification", verb = "decide",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn decide(
        &self,
        ctx: &OpContext,
        presented: &str,
        demand: &Demand,
    ) -> Result<Decision, ServiceError> {
        let decision = self.presented(ctx, presented, demand).await?;
        self.inner.counters.decided(decision.code);
        Ok(decision)
    }

    /// Decides, as [`Self::decide`] does, but does not count as a verification.
    pub(super) async fn presented(
        &self,
        ctx: &OpContext,
        presented: &str,
        demand: &Demand,
    ) -> Result<Decision, ServiceError> {
        let looked = match self.inner.look_up(presented, Presenter::at(ctx.client_ip)).await? {
            Lookup::Facts(looked) => looked,
            Lookup::Nothing(code) => return Ok(Decision::without_facts(code)),
        };
        self.answer(ctx, looked, demand, ctx.user_agent.as_deref()).await
    }
}
