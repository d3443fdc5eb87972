//! Several questions at once, from a gateway or a service.

use std::collections::{HashMap, hash_map::Entry};

use domain::{
    decision::{DecisionCode, Demand},
    ids::WorkspaceId,
};
use futures::future::join_all;

use super::{Decision, Presenter, Verification};
use crate::{OpContext, ServiceError};

/// Most questions at once.
pub const QUESTIONS_MAX: usize = 100;
/// With more scopes a question may take long enough that others should not wait for the next one, too.
const FEW_SCOPES: usize = 4;

impl Verification<'_> {
    /// The same as [`Self::verify`] for up to [`QUESTIONS_MAX`] presented texts, each with what its
    /// bearer wants to do; the answers are in the order of the questions. The caller is checked once, and
    /// few queries find all tokens. Each question counts by itself, also about a token that was asked about
    /// before it.
    ///
    /// # Errors
    /// As [`Self::verify`]: then no question was answered.
    pub async fn verify_many(
        &self,
        ctx: &OpContext,
        questions: &[(String, Demand)],
    ) -> Result<Vec<Decision>, ServiceError> {
        self.may_verify(ctx).await?;
        // All at once: what is not in memory is asked for together.
        let found = join_all(
            questions
                .iter()
                .map(|(text, demand)| self.look_up(text, Presenter::asked_by(ctx, demand.ip))),
        );
        let found = found.await;
        let mut allowed: HashMap<WorkspaceId, bool> = HashMap::new();
        let mut decisions = Vec::with_capacity(questions.len());
        for ((_, demand), found) in questions.iter().zip(found) {
            // The others are answered all the same.
            let found = match found {
                Err(ServiceError::TooManyUnknown(_)) => {
                    Err(Decision::without_facts(DecisionCode::RateLimited))
                }
                found => found?,
            };
            let looked = match found {
                Ok(looked) => looked,
                Err(decision) => {
                    decisions.push(decision);
                    continue;
                }
            };
            // What decides whether the caller may ask is the same for all tokens of a workspace.
            let facts = &looked.known;
            let allowed = match allowed.entry(facts.surroundings.workspace_id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => *place.insert(self.may_verify_token(ctx, facts).await?),
            };
            if demand.scopes.len() > FEW_SCOPES {
                // Others that are to be answered on this thread come in between.
                tokio::task::yield_now().await;
            }
            decisions.push(if allowed {
                self.answer(ctx, looked, demand, None).await?
            } else {
                Decision::without_facts(DecisionCode::NotFound)
            });
        }
        for decision in &decisions {
            self.inner.counters.decided(decision.code);
        }
        Ok(decisions)
    }
}
