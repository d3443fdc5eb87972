//! "May this token do this?"
//!
//! The way of an answer: form and checksum (no database for a text that is no token) → digest → facts
//! by ONE query → pure checks in a fixed order ([`Facts::decide`]), the rate limit last → the use is
//! noted in memory (`answer`, for every way of asking). What is looked up are facts, which hold for every demand and every moment, so that they can be kept.
//! The first use of a secret and the reuse of a replaced one are written at once (`follow`).

mod answer;
mod authenticate;
mod decide;
mod follow;
mod introspect;
pub(crate) mod rate;
mod verify;
mod verify_many;

pub use authenticate::Rejection;
pub use rate::RateState;
pub use verify_many::QUESTIONS_MAX;

use std::sync::Arc;

use domain::decision::{DecisionCode, Facts};

use crate::{ServiceError, authority::Inner, store::secrets};

/// Verification.
#[derive(Clone, Copy)]
pub struct Verification<'a> {
    pub(crate) inner: &'a Inner,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The stable code.
    pub code: DecisionCode,
    /// The token's facts, when there is such a token. Only a `VALID` answer may tell them.
    pub facts: Option<Arc<Facts>>,
    /// What is left of the token's rate limit, when it has one and passed all other checks.
    pub rate: Option<RateState>,
}

impl Decision {
    const fn without_facts(code: DecisionCode) -> Self {
        Self { code, facts: None, rate: None }
    }
}

impl Verification<'_> {
    /// The facts about a presented text; `Err` of a decision when there are none to have.
    pub(crate) async fn facts(
        &self,
        presented: &str,
    ) -> Result<Result<Arc<Facts>, Decision>, ServiceError> {
        let otherwise = if domain::token_text::check(presented).is_ok() {
            DecisionCode::NotFound
        } else if self.inner.may_be_imported(presented) {
            // Another system's text is looked up, but what is not found here is still no token.
            DecisionCode::Malformed
        } else {
            return Ok(Err(Decision::without_facts(DecisionCode::Malformed)));
        };
        let digests = self.inner.keys.digests(presented);
        let mut connection = self.inner.connection().await?;
        let facts = secrets::facts(&mut connection, &digests).await?;
        Ok(facts.map(Arc::new).ok_or(Decision::without_facts(otherwise)))
    }
}
