//! "May this token do this?"
//!
//! A verification takes these steps: form and checksum (no query for a text that is not a token) →
//! digest → facts, from memory or by ONE query ([`crate::lookup`], over the memory of
//! [`crate::facts`]) → pure checks in a fixed order (`Facts::decide`), with the rate limit last → the
//! use is recorded in memory (`answer`, for every kind of verification). Facts hold for every
//! demand and every moment, so they can be cached; `replicas` decides when they may not be used any
//! more. The first use of a secret that replaced another and the reuse of a replaced secret are
//! written at once ([`crate::tokens`], `consequences`).

mod again;
mod answer;
mod authenticate;
mod decide;
mod introspect;
mod memory;
mod verify;
mod verify_many;

pub use authenticate::Rejection;
pub use introspect::Introspected;
pub use memory::{Asked, Presented, Recalled, Remembered};
pub use verify_many::{ANSWERS_MAX, QUESTIONS_MAX};

use std::{sync::Arc, time::Duration};

use domain::decision::DecisionCode;

use crate::{
    facts::RateState,
    kernel::{Facts, Known, Verifies},
    state::Inner,
};

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
    /// The token's facts, if the token exists. Only a `VALID` answer may reveal them.
    pub facts: Option<Arc<Known>>,
    /// How long this server has had no lease, if it answers from memory regardless
    /// ([`crate::Settings::stale_grace`]).
    pub stale: Option<Duration>,
    /// The state of the token's rate limit, if it has one and passed all other checks.
    pub rate: Option<RateState>,
}

impl Decision {
    const fn without_facts(code: DecisionCode) -> Self {
        Self { code, facts: None, rate: None, stale: None }
    }
}

impl Verification<'_> {
    /// Returns whether the facts of a presented text are in memory.
    pub fn remembers(&self, presented: &str) -> bool {
        self.inner.remembers(presented)
    }
}

/// Returns whether a token that may verify somewhere may verify another token: one of its own
/// workspace, or any if it acts as an administrator of the instance, such as that of a gateway in
/// front of an API of many workspaces.
fn verifies(verifier: &Facts, token: &Facts) -> bool {
    verifier.surroundings.workspace_id == token.surroundings.workspace_id
        || verifier.surroundings.verifies == Verifies::Instance
}
