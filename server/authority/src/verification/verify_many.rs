//! Several questions at once, from a gateway or a service.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use domain::{
    decision::{DecisionCode, Demand},
    ids::WorkspaceId,
    token_text,
};

use super::{
    Decision, Verification,
    cache::Known,
    lookup::{Looked, key},
};
use crate::{OpContext, ServiceError, keys::Digest, store::secrets};

/// Most questions at once.
pub const QUESTIONS_MAX: usize = 100;

impl Verification<'_> {
    /// The same as [`Self::verify`] for up to [`QUESTIONS_MAX`] presented texts, each with what its
    /// bearer wants to do; the answers are in the order of the questions. The caller is checked once, and
    /// one query finds all tokens. Each question counts by itself, also about a token that was asked about
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
        let texts: Vec<&str> = questions.iter().map(|(text, _)| text.as_str()).collect();
        let found = self.facts_of_all(&texts).await?;
        let mut allowed: HashMap<WorkspaceId, bool> = HashMap::new();
        let mut decisions = Vec::with_capacity(questions.len());
        for ((_, demand), found) in questions.iter().zip(found) {
            let looked = match found {
                Ok(looked) => looked,
                Err(decision) => {
                    decisions.push(decision);
                    continue;
                }
            };
            // What decides whether the caller may ask is the same for all tokens of a workspace.
            let facts = looked.known.facts();
            let allowed = match allowed.entry(facts.workspace_id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => *place.insert(self.may_verify_token(ctx, facts).await?),
            };
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

    /// The facts about each text, in the order of the texts: from memory, and by one query for all others
    /// that can be tokens.
    async fn facts_of_all(
        &self,
        texts: &[&str],
    ) -> Result<Vec<Result<Looked, Decision>>, ServiceError> {
        let mut digests: Vec<Digest> = Vec::new();
        // For each text what is kept of it, the code that it has unless it is found, and its own digests.
        let sought: Vec<(Option<Arc<Known>>, DecisionCode, std::ops::Range<usize>)> = texts
            .iter()
            .map(|text| {
                let begin = digests.len();
                let has_form = token_text::check(text).is_ok();
                let kept = self.kept(&key(text));
                if kept.is_some() {
                    self.inner.counters.cache_hit();
                } else if has_form || self.inner.may_be_imported(text) {
                    digests.extend(self.inner.keys.digests(text));
                }
                let otherwise =
                    if has_form { DecisionCode::NotFound } else { DecisionCode::Malformed };
                (kept, otherwise, begin..digests.len())
            })
            .collect();
        let mut known: HashMap<Vec<u8>, Arc<Known>> = HashMap::new();
        if !digests.is_empty() {
            let mut connection = self.inner.connection().await?;
            for (digest, facts) in secrets::facts_of_all(&mut connection, &digests).await? {
                self.inner.counters.cache_miss();
                known.insert(digest, Arc::new(Known::new(facts)));
            }
        }
        let find = |own: &[Digest]| own.iter().find_map(|digest| known.get(&digest.bytes[..]));
        Ok(sought
            .into_iter()
            .map(|(kept, otherwise, own)| {
                let known = kept.or_else(|| find(&digests[own]).map(Arc::clone));
                known.map(Looked::from).ok_or(Decision::without_facts(otherwise))
            })
            .collect())
    }
}
