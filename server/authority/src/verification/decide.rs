//! A token that speaks for itself, at a gateway.

use domain::decision::Demand;

use super::{Decision, Presenter, Verification};
use crate::{OpContext, ServiceError};

impl Verification<'_> {
    /// Decides whether the presented token may do what is demanded. Needs no credential beside the
    /// token itself: it tells its holder nothing that using it would not.
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

    /// The same, not counted as a verification.
    pub(super) async fn presented(
        &self,
        ctx: &OpContext,
        presented: &str,
        demand: &Demand,
    ) -> Result<Decision, ServiceError> {
        let looked = match self.look_up(presented, Presenter::at(ctx.client_ip)).await? {
            Ok(looked) => looked,
            Err(decision) => return Ok(decision),
        };
        self.answer(ctx, looked, demand, ctx.user_agent.as_deref()).await
    }
}
