//! Introspection (RFC 7662): describes a token to a caller who may verify tokens.

use std::{sync::Arc, time::Duration};

use domain::decision::{DecisionCode, Demand};

use crate::{
    OpContext, ServiceError, facts::Presenter, kernel::Known, lookup::Lookup,
    verification::Verification,
};

/// The facts of an active token.
#[derive(Debug)]
pub struct Introspected {
    /// The token.
    pub facts: Arc<Known>,
    /// How long this server has had no lease, if it answered from memory regardless.
    pub stale: Option<Duration>,
}

impl Verification<'_> {
    /// Returns the facts of the presented token if it is active, and `None` for anything else,
    /// including a token that the caller may not inspect.
    ///
    /// The only demand is that the token is valid now. No client address is known, so a token that
    /// is bound to addresses is not active: absence never means "all". The token's rate limit is
    /// neither checked nor charged: whether a token is active does not depend on how often it was
    /// used, and callers may cache the response for a while. Otherwise it is a use like any other.
    ///
    /// # Errors
    ///
    /// Those of [`Self::verify`].
    #[tracing::instrument(skip_all, fields(
        noun = "verification", verb = "introspect",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn introspect(
        &self,
        ctx: &OpContext,
        presented: &str,
    ) -> Result<Option<Introspected>, ServiceError> {
        self.may_verify(ctx).await?;
        let from = Presenter::asked_by(ctx, None);
        let Lookup::Facts(looked) = self.inner.look_up(presented, from).await? else {
            return Ok(None);
        };
        let (facts, stale) = (looked.known, looked.stale);
        if !self.may_verify_token(ctx, &facts).await? {
            return self.inner.as_unknown(presented, from).map(|_| None);
        }
        let demand = Demand::default();
        let code = facts.decide(&demand, ctx.now);
        self.inner.counters.decided(code);
        self.note(ctx, &facts, &demand, code, None).await?;
        Ok((code == DecisionCode::Valid).then_some(Introspected { facts, stale }))
    }
}
