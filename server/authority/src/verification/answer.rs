//! The steps that every kind of verification takes once it has the facts.

use std::sync::Arc;

use crate::kernel::Facts;
use domain::decision::{DecisionCode, Demand};
use time::OffsetDateTime;

use crate::{
    OpContext, ServiceError,
    facts::RateState,
    kernel::{Known, Use},
    lookup::Looked,
    tokens::Tokens,
    verification::{Decision, Verification},
};

impl Verification<'_> {
    /// Decides and records the use. `agent` is the program that presented the token, if known.
    pub(super) async fn answer(
        &self,
        ctx: &OpContext,
        looked: Looked,
        demand: &Demand,
        agent: Option<&str>,
    ) -> Result<Decision, ServiceError> {
        let known = looked.known;
        let (code, rate) = self.judge(&known, demand, ctx.now);
        self.note(ctx, &known, demand, code, agent).await?;
        Ok(Decision { code, facts: Some(known), rate, stale: looked.stale })
    }

    /// Records the use: immediately if it changes something, otherwise in memory.
    pub(super) async fn note(
        &self,
        ctx: &OpContext,
        known: &Arc<Known>,
        demand: &Demand,
        code: DecisionCode,
        agent: Option<&str>,
    ) -> Result<(), ServiceError> {
        Tokens { inner: self.inner }.follow_up(ctx, known, demand, code).await?;
        let used = Use { code, at: ctx.now, address: demand.ip, agent };
        self.inner.usage.note(known, used);
        Ok(())
    }

    /// Returns the code and the state of the token's rate limit. The limit is checked last, so that
    /// a use that is refused for another reason takes nothing from it. Runs no query and never
    /// waits.
    pub(super) fn judge(
        self,
        facts: &Facts,
        demand: &Demand,
        now: OffsetDateTime,
    ) -> (DecisionCode, Option<RateState>) {
        self.limit(facts, facts.decide(demand, now), now)
    }

    pub(super) fn limit(
        self,
        facts: &Facts,
        code: DecisionCode,
        now: OffsetDateTime,
    ) -> (DecisionCode, Option<RateState>) {
        match facts.rate_limit {
            Some(limit) if code == DecisionCode::Valid => {
                let rate = self.inner.rates.take(facts.token_id, limit, now);
                let code = if rate.allowed { code } else { DecisionCode::RateLimited };
                (code, Some(rate))
            }
            _ => (code, None),
        }
    }
}
