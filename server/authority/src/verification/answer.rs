//! What every way of asking does once the facts are there.

use std::sync::Arc;

use domain::decision::{DecisionCode, Demand, Facts};
use time::OffsetDateTime;

use super::{Decision, RateState, Verification, known::Known, lookup::Looked};
use crate::{OpContext, ServiceError, usage::Use};

impl Verification<'_> {
    /// Decides, and notes the use. `agent` is the program that presented the token, when it is known.
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

    /// Notes the use: at once where it changes something, in memory otherwise.
    pub(super) async fn note(
        &self,
        ctx: &OpContext,
        known: &Arc<Known>,
        demand: &Demand,
        code: DecisionCode,
        agent: Option<&str>,
    ) -> Result<(), ServiceError> {
        self.follow(ctx, known, demand, code).await?;
        let used = Use { code, at: ctx.now, address: demand.ip, agent };
        self.inner.usage.note(known, used);
        Ok(())
    }

    /// The code, and what is left of the token's rate limit. The limit comes last: a use that is
    /// refused for another reason takes nothing from it. Asks nobody and waits for nothing.
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
