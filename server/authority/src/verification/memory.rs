//! Answers from memory only: no database, no waiting and as few allocations as possible.
//!
//! An answer from here is the same as from the other paths. A request that needs more than cached
//! facts, such as a first use that must be written, is not answered here at all.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use crate::{
    facts::{Presenter, RateState, cache::Key},
    kernel::{Facts, Known, Use, Verifies},
    lookup::{Lookup, key},
    verification::{Verification, verifies},
};
use domain::{
    decision::{DecisionCode, Demand},
    ids::WorkspaceId,
};
use time::OffsetDateTime;

/// Facts that were in memory a moment ago.
#[derive(Debug)]
pub struct Recalled {
    known: Arc<Known>,
    /// The value of [`crate::facts::Cache::forgotten`] before the facts were read.
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
    /// The token. Only a `VALID` answer may reveal its facts.
    pub known: Arc<Known>,
    /// The state of its rate limit, if it has one.
    pub rate: Option<RateState>,
}

/// When and from where a token is presented.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The moment.
    pub now: OffsetDateTime,
    /// The address.
    pub ip: Option<IpAddr>,
    /// The program that presents it.
    pub agent: Option<&'a str>,
    /// Whether [`Verification::learn`] looked the facts up for this request.
    pub learned: bool,
}

/// A demand, in whichever form it is available.
pub trait Asked {
    /// Returns whether a cheap check shows that the demand is met: [`Facts::has_by_name`]. `false`
    /// decides nothing.
    fn is_plainly_met(&self, facts: &Facts, now: OffsetDateTime) -> bool;

    /// Returns the full demand, for when the cheap check was not enough, or `None` when it is
    /// malformed.
    fn demand(&self) -> Option<Cow<'_, Demand>>;

    /// Returns the caller's address.
    fn ip(&self) -> Option<IpAddr>;
}

impl Verification<'_> {
    /// Returns the cached facts of the presented text of a caller who may verify tokens. Whether
    /// they may be used is checked later.
    pub fn recall(&self, presented: &str) -> Option<Recalled> {
        let forgotten = self.inner.cache.forgotten();
        let known = self.inner.cache.get(&key(presented))?;
        (known.surroundings.verifies != Verifies::Nobody).then_some(Recalled { known, forgotten })
    }

    /// Looks up a presented text that is not in memory, for a caller at this address who verifies a
    /// token presented from the address `asked`. Returns whether the text is in memory now. Returns
    /// `false` if it was there before or there is no lease: the reason for not answering from
    /// memory is then a different one.
    #[tracing::instrument(skip_all, fields(noun = "verification", verb = "learn"))]
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
            && matches!(self.inner.look_up(presented, from).await, Ok(Lookup::Facts(_)))
    }

    /// Decides, as [`Self::decide`] does, if the cache is enough to answer.
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

    /// Authenticates the caller and verifies a token, as [`Self::authenticate`] and
    /// [`Self::verify`] do, if the cache is enough to answer both. The caller was recalled before
    /// the request was complete; its facts must still be the cached ones.
    pub fn verify_remembered(
        &self,
        caller: &Recalled,
        presented: &str,
        asked: &impl Asked,
        at: Presented<'_>,
    ) -> Option<Remembered> {
        let key = key(presented);
        // Reads the clock once for both, before either is checked.
        if !self.has_lease() || self.inner.cache.forgotten() != caller.forgotten {
            return None;
        }
        if !may_call(&caller.known, at.ip, at.now) {
            return None;
        }
        let known = self.inner.cache.get(&key)?;
        if !verifies(&caller.known, &known) {
            return None;
        }
        let answer = self.remembered(known, asked, at.now)?;
        let Presented { now, ip, agent, learned: _ } = at;
        let own = Use { code: DecisionCode::Valid, at: now, address: ip, agent };
        self.inner.usage.note(&caller.known, own);
        // The agent that sends the request is not the one that presented the token.
        self.note_remembered(&answer, asked.ip(), Presented { agent: None, ..at });
        Some(answer)
    }

    pub(super) fn kept(self, key: &Key) -> Option<Arc<Known>> {
        // The clock first: if this process is stopped after reading it, the request arrived before.
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

/// Returns whether a cheap check shows that the caller may call at all.
fn may_call(caller: &Facts, ip: Option<IpAddr>, now: OffsetDateTime) -> bool {
    !caller.secret.awaited
        // The slow path counts and reports the caller's own limit.
        && caller.rate_limit.is_none()
        && caller.decide(&Demand { ip, ..Demand::default() }, now) == DecisionCode::Valid
}
