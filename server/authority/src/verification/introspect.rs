//! Introspection (RFC 7662): what a token is, for a caller who may verify.

use std::{sync::Arc, time::Duration};

use domain::decision::{DecisionCode, Demand};

use super::{Known, Presenter, Verification};
use crate::{OpContext, ServiceError};

/// The facts about an active token.
#[derive(Debug)]
pub struct Introspected {
    /// The token.
    pub facts: Arc<Known>,
    /// For how long there has been no lease, when it was answered from memory all the same.
    pub stale: Option<Duration>,
}

impl Verification<'_> {
    /// The facts about the presented token if it is active; `None` for anything else, and for a token
    /// that the caller may not ask about.
    ///
    /// Nothing is demanded but that it be valid now. No address is known, so that a token which is bound
    /// to addresses is not active: absence never means "all". Its rate limit is neither looked at nor
    /// drawn on: whether a token is active is no question of how often it was used, and whoever asks may
    /// keep the answer for a while. Otherwise it is a use like any other.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn introspect(
        &self,
        ctx: &OpContext,
        presented: &str,
    ) -> Result<Option<Introspected>, ServiceError> {
        self.may_verify(ctx).await?;
        let from = Presenter::asked_by(ctx, None);
        let Ok(looked) = self.look_up(presented, from).await? else { return Ok(None) };
        let (facts, stale) = (looked.known, looked.stale);
        if !self.may_verify_token(ctx, &facts).await? {
            return self.as_unknown(presented, from).map(|_| None);
        }
        let demand = Demand::default();
        let code = facts.decide(&demand, ctx.now);
        self.inner.counters.decided(code);
        self.note(ctx, &facts, &demand, code, None).await?;
        Ok((code == DecisionCode::Valid).then_some(Introspected { facts, stale }))
    }
}
