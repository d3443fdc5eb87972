//! Verifies several tokens in one request from a gateway or a service.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    OpContext, Pace, ServiceError,
    facts::Presenter,
    kernel::STEPS_MAX,
    lookup::{Looked, Lookup},
    verification::{Decision, Verification},
};
use domain::{
    decision::{DecisionCode, Demand},
    ids::WorkspaceId,
    scope_pattern::Steps,
};
use futures::future::join_all;

/// The maximum number of questions in a request.
pub const QUESTIONS_MAX: usize = 100;
/// The maximum size of the answers to several questions, in bytes. A single answer may be larger: a
/// token of an earlier version may hold any number of scopes, and a scope may imply many.
pub const ANSWERS_MAX: usize = 1024 * 1024;

impl Verification<'_> {
    /// Verifies, as [`Self::verify`] does, up to [`QUESTIONS_MAX`] presented texts, each with
    /// what its bearer wants to do. The answers are in the order of the questions. The caller is
    /// checked once, and few queries find all tokens. Each question counts separately, even if an
    /// earlier one was about the same token.
    ///
    /// # Errors
    ///
    /// Those of [`Self::verify`], and `Invalid` when the answers would be larger than
    /// [`ANSWERS_MAX`]: then no question is answered, and none counts as a use.
    #[tracing::instrument(skip_all, fields(
        noun = "verification", verb = "verify_many",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn verify_many(
        &self,
        ctx: &OpContext,
        questions: &[(String, Demand)],
    ) -> Result<Vec<Decision>, ServiceError> {
        self.may_verify(ctx).await?;
        // Concurrently, so that the loader batches the lookups of tokens that are not in memory.
        let found =
            join_all(questions.iter().map(|(text, demand)| {
                self.inner.look_up(text, Presenter::asked_by(ctx, demand.ip))
            }));
        let found = found.await;
        let mut pace = Pace::default();
        let mut allowed: HashMap<WorkspaceId, bool> = HashMap::new();
        let mut judged = Vec::with_capacity(questions.len());
        let mut bytes = 0;
        for ((text, demand), found) in questions.iter().zip(found) {
            let looked = match unless_too_many(found, Lookup::Nothing)? {
                Lookup::Facts(looked) => looked,
                Lookup::Nothing(code) => {
                    judged.push(Err(code));
                    continue;
                }
            };
            // Whether the caller may verify a token depends only on the token's workspace.
            let facts = &looked.known;
            let allowed = match allowed.entry(facts.surroundings.workspace_id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(free) => *free.insert(self.may_verify_token(ctx, facts).await?),
            };
            if !allowed {
                let unknown = self.inner.as_unknown(text, Presenter::asked_by(ctx, demand.ip));
                judged.push(Err(unless_too_many(unknown, |limited| limited)?));
                continue;
            }
            let mut steps = Steps::new(STEPS_MAX);
            let code = facts.decide_within(demand, ctx.now, &mut steps);
            pace.spend((STEPS_MAX - steps.left()) as usize).await;
            if code == DecisionCode::Valid {
                let answer = facts.surroundings.answer_max();
                bytes += answer;
                pace.spend_bytes(answer).await;
            }
            judged.push(Ok((looked, code)));
        }
        if bytes > ANSWERS_MAX && questions.len() > 1 {
            let message = format!(
                "must be fewer: these tokens have so many scopes that the response could exceed {ANSWERS_MAX} bytes; send fewer items in one request"
            );
            return Err(ServiceError::invalid("items", message));
        }
        let mut decisions = Vec::with_capacity(questions.len());
        for ((_, demand), judged) in questions.iter().zip(judged) {
            let decision = match judged {
                Ok((looked, code)) => self.count(ctx, looked, demand, code).await?,
                Err(code) => Decision::without_facts(code),
            };
            decisions.push(decision);
        }
        for decision in &decisions {
            self.inner.counters.decided(decision.code);
        }
        Ok(decisions)
    }

    /// Takes a decided question from the token's rate limit, and records the use.
    async fn count(
        &self,
        ctx: &OpContext,
        looked: Looked,
        demand: &Demand,
        code: DecisionCode,
    ) -> Result<Decision, ServiceError> {
        let Looked { known, stale } = looked;
        let (code, rate) = self.limit(&known, code, ctx.now);
        self.note(ctx, &known, demand, code, None).await?;
        Ok(Decision { code, facts: Some(known), rate, stale })
    }
}

/// Turns "too many unknown texts" into the answer to one question, so that the others are still
/// answered.
fn unless_too_many<T>(
    outcome: Result<T, ServiceError>,
    answer: impl FnOnce(DecisionCode) -> T,
) -> Result<T, ServiceError> {
    match outcome {
        Err(ServiceError::TooManyUnknown(_)) => Ok(answer(DecisionCode::RateLimited)),
        outcome => outcome,
    }
}
