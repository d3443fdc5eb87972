//! Verifies a credential that was accepted a moment ago, or that a rotation has just ended.

use std::sync::Arc;

use crate::{
    Actor, OpContext, ServiceError,
    facts::Presenter,
    kernel::{Facts, Known},
    lookup::Lookup,
    verification::Verification,
};
use domain::decision::{DecisionCode, Demand};

impl Verification<'_> {
    /// Authenticates a caller again during a long response. Takes nothing from the token's rate
    /// limit and records no use: the whole response is one use.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` when the token is no longer accepted.
    #[tracing::instrument(skip_all, fields(
        noun = "verification", verb = "authenticate_again",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn authenticate_again(
        &self,
        ctx: &OpContext,
        presented: &str,
    ) -> Result<Actor, ServiceError> {
        let demand = Demand { ip: ctx.client_ip, ..Demand::default() };
        match self.inner.look_up(presented, Presenter::at(ctx.client_ip)).await? {
            Lookup::Facts(looked)
                if looked.known.decide(&demand, ctx.now) == DecisionCode::Valid =>
            {
                Ok(Actor::Token(looked.known))
            }
            _ => Err(ServiceError::Unauthenticated),
        }
    }

    /// Returns the token of a replaced secret that has expired, if nothing else speaks against the
    /// token. Does not count as a reuse.
    pub(crate) async fn replaced(
        &self,
        ctx: &OpContext,
        presented: &str,
    ) -> Result<Option<Arc<Known>>, ServiceError> {
        let Lookup::Facts(looked) =
            self.inner.look_up(presented, Presenter::at(ctx.client_ip)).await?
        else {
            return Ok(None);
        };
        let known = looked.known;
        if !known.is_reuse(ctx.now) {
            return Ok(None);
        }
        let mut facts = Facts::clone(&known);
        facts.secret.expires_at = None;
        facts.secret.ended = false;
        let demand = Demand { ip: ctx.client_ip, ..Demand::default() };
        Ok((facts.decide(&demand, ctx.now) == DecisionCode::Valid).then_some(known))
    }
}
