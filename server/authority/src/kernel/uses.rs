//! The uses of one token.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{decision::DecisionCode, usage::hour_of};
use time::OffsetDateTime;

/// The maximum length of a program's name, in bytes; longer names are cut.
pub(crate) const AGENT_MAX: usize = 256;

/// One presentation of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use<'a> {
    /// The decision.
    pub(crate) code: DecisionCode,
    pub(crate) at: OffsetDateTime,
    /// The client's address.
    pub(crate) address: Option<IpAddr>,
    /// The client's program.
    pub(crate) agent: Option<&'a str>,
}

/// Uses of one token in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) allowed: i64,
    pub(crate) refused: i64,
}

/// A use that was allowed.
#[derive(Clone, Debug)]
pub(crate) struct LastUse {
    pub(crate) at: OffsetDateTime,
    pub(crate) address: Option<IpAddr>,
    pub(crate) agent: Option<Arc<str>>,
}

/// Uses of a token within one hour.
#[derive(Clone, Debug)]
pub(crate) struct Uses {
    pub(crate) hour: OffsetDateTime,
    pub(crate) counts: Counts,
    pub(crate) last: Option<LastUse>,
}

/// The uses of a cached token that no flush has gathered yet. They are stored next to the facts
/// that a verification reads anyway, so that recording a use touches little other memory.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<Option<Uses>>);

impl Noted {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Uses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uses {
    pub(crate) fn of(used: Use<'_>) -> Self {
        let mut sum = Self { hour: hour_of(used.at), counts: Counts::default(), last: None };
        sum.add(used);
        sum
    }

    /// Adds a use within the same hour.
    pub(crate) fn add(&mut self, used: Use<'_>) {
        if used.code != DecisionCode::Valid {
            self.counts.refused = self.counts.refused.saturating_add(1);
            return;
        }
        self.counts.allowed = self.counts.allowed.saturating_add(1);
        // Callers choose this text, and it is held until it is written.
        let agent = used.agent.map(|agent| &agent[..agent.floor_char_boundary(AGENT_MAX)]);
        match &mut self.last {
            Some(last) if last.at > used.at => {}
            Some(last) => {
                (last.at, last.address) = (used.at, used.address);
                // Usually the same program again, so there is nothing to copy.
                if last.agent.as_deref() != agent {
                    last.agent = agent.map(Arc::from);
                }
            }
            none => {
                let agent = agent.map(Arc::from);
                *none = Some(LastUse { at: used.at, address: used.address, agent });
            }
        }
    }
}
