//! Answers from memory alone: no database, no waiting, nothing to allocate that can be helped.
//!
//! What is answered here is what the other ways would answer. Whatever needs more than facts that are
//! kept, such as a first use that must be written, is not answered here at all.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use domain::{
    decision::{DecisionCode, Demand, Facts, Verifies},
    ids::WorkspaceId,
};
use time::OffsetDateTime;

use super::{Presenter, RateState, Verification, cache::Key, known::Known, lookup::key};
use crate::usage::Use;

/// Facts that were in memory a moment ago.
#[derive(Debug)]
pub struct Recalled {
    known: Arc<Known>,
    /// What [`super::Cache::forgotten`] was before they were got.
    forgotten: u64,
}

impl Recalled {
    /// Returns the workspace of the token.
    pub fn workspace(&self) -> WorkspaceId {
        self.known.surroundings.workspace_id
    }
}

/// An answer from memory.
#[derive(Debug)]
pub struct Remembered {
    /// The stable code.
    pub code: DecisionCode,
    /// The token. Only a `VALID` answer may tell its facts.
    pub known: Arc<Known>,
    /// What is left of its rate limit, when it has one.
    pub rate: Option<RateState>,
}

/// When and from where a token is presented.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The moment.
    pub now: OffsetDateTime,
    /// The address.
    pub ip: Option<IpAddr>,
    /// The program.
    pub agent: Option<&'a str>,
    /// Whether the facts were [`Verification::learn`]ed for this.
    pub learned: bool,
}

/// What is demanded, in whichever form it is known.
pub trait Asked {
    /// Whether it is met, as far as that can be told at a glance: [`Facts::has_by_name`]. `false` says
    /// nothing.
    fn is_plainly_met(&self, facts: &Facts, now: OffsetDateTime) -> bool;

    /// The demand in full, for when a glance was not enough; `None` when it cannot be understood.
    fn demand(&self) -> Option<Cow<'_, Demand>>;

    /// The caller's address.
    fn ip(&self) -> Option<IpAddr>;
}

impl Verification<'_> {
    /// The facts that are kept about the presented text of somebody who may ask about tokens; whether
    /// they may be used is for later.
    pub fn recall(&self, presented: &str) -> Option<Recalled> {
        let forgotten = self.inner.cache.forgotten();
        let known = self.inner.cache.get(&key(presented))?;
        (known.surroundings.verifies != Verifies::Nobody).then_some(Recalled { known, forgotten })
    }

    /// Looks up a presented text that is not in memory, for a caller at this address who asks about
    /// somebody at the address `asked`. Returns whether it is there now. `false` when it was there before, or
    /// there is no lease: then something else is the matter.
    pub async fn learn(
        &self,
        caller: &Recalled,
        presented: &str,
        ip: Option<IpAddr>,
        asked: Option<IpAddr>,
    ) -> bool {
        let from = Presenter::verified_by(&caller.known, asked);
        may_call(&caller.known, ip, self.inner.clock.now())
            && self.has_lease()
            && self.inner.cache.get(&key(presented)).is_none()
            && matches!(self.look_up(presented, from).await, Ok(Ok(_)))
    }

    /// [`Self::decide`], if it can be answered from memory.
    pub fn decide_remembered(
        &self,
        presented: &str,
        asked: &impl Asked,
        at: Presented<'_>,
    ) -> Option<Remembered> {
        let known = self.kept(&key(presented))?;
        let answer = self.remembered(known, asked, at.now)?;
        self.note_remembered(&answer, asked.ip(), at);
        Some(answer)
    }

    /// [`Self::authenticate`] and [`Self::verify`], if both can be answered from memory. The caller was
    /// recalled before the question had come; it must still be what is kept.
    pub fn verify_remembered(
        &self,
        caller: &Recalled,
        presented: &str,
        asked: &impl Asked,
        at: Presented<'_>,
    ) -> Option<Remembered> {
        let key = key(presented);
        // One look at the clock for both, before either is looked at.
        if !self.has_lease() || self.inner.cache.forgotten() != caller.forgotten {
            return None;
        }
        if !may_call(&caller.known, at.ip, at.now) {
            return None;
        }
        let known = self.inner.cache.get(&key)?;
        if !may_ask(&caller.known, &known) {
            return None;
        }
        let answer = self.remembered(known, asked, at.now)?;
        let Presented { now, ip, agent, learned: _ } = at;
        let own = Use { code: DecisionCode::Valid, at: now, address: ip, agent };
        self.inner.usage.note(&caller.known, own);
        // The agent that asks is not the one that presented the token.
        self.note_remembered(&answer, asked.ip(), Presented { agent: None, ..at });
        Some(answer)
    }

    pub(super) fn kept(self, key: &Key) -> Option<Arc<Known>> {
        // The clock first: were this process stopped after it, the question came before.
        if self.has_lease() { self.inner.cache.get(key) } else { None }
    }

    fn has_lease(self) -> bool {
        self.inner.has_lease()
    }

    fn remembered(
        self,
        known: Arc<Known>,
        asked: &impl Asked,
        now: OffsetDateTime,
    ) -> Option<Remembered> {
        let to_be_written = known.secret.awaited || known.is_reuse(now) && !known.secret.reused;
        if to_be_written {
            return None;
        }
        let (code, rate) = if asked.is_plainly_met(&known, now) {
            self.limit(&known, DecisionCode::Valid, now)
        } else {
            self.judge(&known, asked.demand()?.as_ref(), now)
        };
        Some(Remembered { code, known, rate })
    }

    fn note_remembered(self, answer: &Remembered, address: Option<IpAddr>, at: Presented<'_>) {
        if !at.learned {
            self.inner.counters.cache_hit();
        }
        self.inner.counters.decided(answer.code);
        let used = Use { code: answer.code, at: at.now, address, agent: at.agent };
        self.inner.usage.note(&answer.known, used);
    }
}

impl Asked for Demand {
    fn is_plainly_met(&self, _: &Facts, _: OffsetDateTime) -> bool {
        false
    }

    fn demand(&self) -> Option<Cow<'_, Demand>> {
        Some(Cow::Borrowed(self))
    }

    fn ip(&self) -> Option<IpAddr> {
        self.ip
    }
}

/// Whether a caller may ask anything at all, without more ado.
fn may_call(caller: &Facts, ip: Option<IpAddr>, now: OffsetDateTime) -> bool {
    !caller.secret.awaited
        // Its own limit is counted, and told, on the other way.
        && caller.rate_limit.is_none()
        && caller.decide(&Demand { ip, ..Demand::default() }, now) == DecisionCode::Valid
}

fn may_ask(caller: &Facts, about: &Facts) -> bool {
    match caller.surroundings.verifies {
        Verifies::Nobody => false,
        Verifies::Workspace => caller.surroundings.workspace_id == about.surroundings.workspace_id,
        Verifies::Instance => true,
    }
}
