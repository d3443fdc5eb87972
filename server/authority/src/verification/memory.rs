//! Answers from memory alone: no database, no waiting, nothing to allocate that can be helped.
//!
//! What is answered here is what the other ways would answer. Whatever needs more than facts that are
//! kept, such as a first use that must be written, is not answered here at all.

use std::{net::IpAddr, sync::Arc};

use domain::decision::{DecisionCode, Demand, Facts, Verifies};
use time::OffsetDateTime;

use super::{
    RateState, Verification,
    cache::{Key, Known},
    lookup::key,
};

/// Facts that were in memory a moment ago.
#[derive(Debug)]
pub struct Recalled {
    key: Key,
    known: Arc<Known>,
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
    pub agent: Option<&'a Arc<str>>,
}

impl Verification<'_> {
    /// The facts that are kept about a presented text, if there is a lease.
    pub fn recall(&self, presented: &str) -> Option<Recalled> {
        let key = key(presented);
        Some(Recalled { key, known: self.kept(&key)? })
    }

    /// [`Self::decide`], if it can be answered from memory.
    pub fn decide_remembered(
        &self,
        presented: &str,
        demand: &Demand,
        at: Presented<'_>,
    ) -> Option<Remembered> {
        let known = self.kept(&key(presented))?;
        let answer = self.remembered(known, demand, at.now)?;
        self.note_remembered(&answer, demand.ip, at.agent, at.now);
        Some(answer)
    }

    /// [`Self::authenticate`] and [`Self::verify`], if both can be answered from memory. The caller was
    /// recalled before the question had come; it must still be what is kept.
    pub fn verify_remembered(
        &self,
        caller: &Recalled,
        presented: &str,
        demand: &Demand,
        at: Presented<'_>,
    ) -> Option<Remembered> {
        let kept = self.kept(&caller.key)?;
        let own = Demand { ip: at.ip, ..Demand::default() };
        let may = Arc::ptr_eq(&kept, &caller.known)
            // Its own limit is counted, and told, on the other way.
            && kept.facts().rate_limit.is_none()
            && kept.facts().secret.used
            && kept.facts().decide(&own, at.now) == DecisionCode::Valid;
        if !may {
            return None;
        }
        let known = self.kept(&key(presented))?;
        if !may_ask(kept.facts(), known.facts()) {
            return None;
        }
        let answer = self.remembered(known, demand, at.now)?;
        self.inner.usage.note(kept.facts().token_id, DecisionCode::Valid, at.now, at.ip, at.agent);
        self.note_remembered(&answer, demand.ip, None, at.now);
        Some(answer)
    }

    pub(super) fn kept(self, key: &Key) -> Option<Arc<Known>> {
        // The clock first: were this process stopped after it, the question came before.
        if !self.inner.replica.lease.is_valid(self.inner.clock.elapsed()) {
            return None;
        }
        self.inner.cache.get(key)
    }

    fn remembered(
        self,
        known: Arc<Known>,
        demand: &Demand,
        now: OffsetDateTime,
    ) -> Option<Remembered> {
        let facts = known.facts();
        let to_be_written = !facts.secret.used || facts.is_reuse(now) && !facts.secret.reused;
        if to_be_written {
            return None;
        }
        let (code, rate) = self.judge(facts, demand, now);
        Some(Remembered { code, known, rate })
    }

    fn note_remembered(
        self,
        answer: &Remembered,
        ip: Option<IpAddr>,
        agent: Option<&Arc<str>>,
        now: OffsetDateTime,
    ) {
        self.inner.counters.cache_hit();
        self.inner.counters.decided(answer.code);
        self.inner.usage.note(answer.known.facts().token_id, answer.code, now, ip, agent);
    }
}

fn may_ask(caller: &Facts, about: &Facts) -> bool {
    match caller.verifies {
        Verifies::Nobody => false,
        Verifies::Workspace => caller.workspace_id == about.workspace_id,
        Verifies::Instance => true,
    }
}
