//! What every way of asking does once the facts are there.

use std::sync::Arc;

use domain::decision::{DecisionCode, Demand, Facts};
use time::OffsetDateTime;

use super::{Decision, RateState, Verification, lookup::Looked};
use crate::{OpContext, ServiceError};

impl Verification<'_> {
    /// Decides, and notes the use. `agent` is the program that presented the token, when it is known.
    pub(super) async fn answer(
        &self,
        ctx: &OpContext,
        looked: Looked,
        demand: &Demand,
        agent: Option<&Arc<str>>,
    ) -> Result<Decision, ServiceError> {
        let facts = Arc::clone(looked.known.facts());
        let (code, rate) = self.judge(&facts, demand, ctx.now);
        self.note(ctx, &facts, demand, code, agent).await?;
        Ok(Decision { code, facts: Some(facts), rate, stale: looked.stale })
    }

    /// Notes the use: at once where it changes something, in memory otherwise.
    pub(super) async fn note(
        &self,
        ctx: &OpContext,
        facts: &Arc<Facts>,
        demand: &Demand,
        code: DecisionCode,
        agent: Option<&Arc<str>>,
    ) -> Result<(), ServiceError> {
        self.follow(ctx, facts, demand, code).await?;
        self.inner.usage.note(facts.token_id, code, ctx.now, demand.ip, agent);
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
        let code = facts.decide(demand, now);
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
