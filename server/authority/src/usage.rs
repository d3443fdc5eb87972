//! The use of tokens, gathered in memory and written in batches: it never slows a verification.
//!
//! A token's last use is written once a minute at most; the counts of each hour with every flush.
//! What was gathered since the last flush is lost when the process is killed; nothing decides on it.
//! A flush that fails is tried again with the next one. Memory is bounded: beyond [`HELD_MAX`] tokens
//! between two flushes, the uses of further ones are not noted.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::{decision::DecisionCode, ids::TokenId, usage::hour_of};
use time::{Duration, OffsetDateTime};

use crate::{
    Authority,
    store::{self, usage::LastUses},
};

/// How long counts are kept.
pub(crate) const KEPT: Duration = Duration::days(90);
/// Longest name of a program that is kept, in characters.
const AGENT_MAX: usize = 256;
/// Most entries that are held in memory.
const HELD_MAX: usize = 100_000;

/// A use that was allowed.
#[derive(Clone, Debug)]
struct LastUse {
    at: OffsetDateTime,
    address: Option<IpAddr>,
    agent: Option<Arc<str>>,
}

/// Uses of one token in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) allowed: i64,
    pub(crate) refused: i64,
}

#[derive(Debug, Default)]
struct Gathered {
    last: HashMap<TokenId, LastUse>,
    hours: HashMap<(TokenId, OffsetDateTime), Counts>,
    /// Uses for which there was no room.
    lost: u64,
}

/// Uses since the last flush.
#[derive(Debug, Default)]
pub(crate) struct UsageRecorder {
    gathered: Mutex<Gathered>,
    /// Uses for which there was no room, of earlier flushes.
    dropped: AtomicU64,
}

impl UsageRecorder {
    /// Notes that a token was presented and what the answer was.
    pub(crate) fn note(
        &self,
        token: TokenId,
        code: DecisionCode,
        at: OffsetDateTime,
        address: Option<IpAddr>,
        agent: Option<&Arc<str>>,
    ) {
        let allowed = code == DecisionCode::Valid;
        let counts = Counts { allowed: i64::from(allowed), refused: i64::from(!allowed) };
        let last = allowed.then(|| LastUse { at, address, agent: agent.cloned() });
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.add(token, last, Some((hour_of(at), counts)));
    }

    /// Tokens that wait to be written, and the uses for which there never was room.
    pub(crate) fn state(&self) -> (u64, u64) {
        let gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = gathered.hours.len().max(gathered.last.len());
        let dropped = self.dropped.load(Ordering::Relaxed) + gathered.lost;
        (u64::try_from(waiting).unwrap_or(u64::MAX), dropped)
    }

    fn take(&self) -> Gathered {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        self.dropped.fetch_add(gathered.lost, Ordering::Relaxed);
        std::mem::take(&mut gathered)
    }

    /// Takes back what could not be written.
    fn put_back(&self, unwritten: Gathered) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        for (token, last) in unwritten.last {
            gathered.add(token, Some(last), None);
        }
        for ((token, hour), counts) in unwritten.hours {
            gathered.add(token, None, Some((hour, counts)));
        }
        gathered.lost += unwritten.lost;
    }
}

impl Gathered {
    fn add(
        &mut self,
        token: TokenId,
        last: Option<LastUse>,
        counts: Option<(OffsetDateTime, Counts)>,
    ) {
        if let Some(last) = last {
            let full = self.last.len() >= HELD_MAX;
            match self.last.entry(token) {
                Entry::Occupied(mut known) if known.get().at <= last.at => {
                    known.insert(last);
                }
                Entry::Vacant(place) if !full => {
                    place.insert(last);
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(_) => self.lost += 1,
            }
        }
        if let Some((hour, counts)) = counts {
            let full = self.hours.len() >= HELD_MAX;
            match self.hours.entry((token, hour)) {
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.allowed = known.allowed.saturating_add(counts.allowed);
                    known.refused = known.refused.saturating_add(counts.refused);
                }
                Entry::Vacant(place) if !full => {
                    place.insert(counts);
                }
                Entry::Vacant(_) => self.lost += 1,
            }
        }
    }

    fn last_uses(&self) -> LastUses {
        let mut uses = LastUses::default();
        for (token, last) in &self.last {
            uses.ids.push(token.0);
            uses.times.push(last.at);
            uses.addresses
                .push(last.address.map(|address| address.to_string()).unwrap_or_default());
            let agent = last.agent.as_deref().unwrap_or_default();
            // PostgreSQL's text has no NUL.
            let agent = agent.chars().filter(|character| *character != '\0').take(AGENT_MAX);
            uses.agents.push(agent.collect());
        }
        uses
    }
}

impl Authority {
    /// Writes the uses gathered since the last time. What cannot be written is kept for the next.
    pub async fn flush_usage(&self) {
        let mut gathered = self.inner.usage.take();
        if gathered.lost > 0 {
            tracing::warn!(uses = gathered.lost, "uses of too many tokens at once were not noted");
            gathered.lost = 0;
        }
        if gathered.hours.is_empty() && gathered.last.is_empty() {
            return;
        }
        if let Err(error) = self.write_usage(&mut gathered).await {
            let tokens = gathered.hours.len();
            tracing::warn!(%error, tokens, "uses could not be written; they are kept for now");
            self.inner.usage.put_back(gathered);
        }
    }

    /// Writes and takes out what was written, so that it is not counted twice.
    async fn write_usage(&self, gathered: &mut Gathered) -> Result<(), store::StoreError> {
        let mut connection = self.inner.pool.acquire().await?;
        if !gathered.hours.is_empty() {
            // In one order everywhere: servers that write the same rows wait, and do not deadlock.
            let mut hours: Vec<_> =
                gathered.hours.iter().map(|(key, counts)| (*key, *counts)).collect();
            hours.sort_unstable_by_key(|(key, _)| *key);
            store::usage::add(&mut connection, &hours).await?;
            gathered.hours.clear();
        }
        if !gathered.last.is_empty() {
            store::usage::note_last(&mut connection, &gathered.last_uses()).await?;
            gathered.last.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    const AT: OffsetDateTime = datetime!(2026-01-02 12:34:56 UTC);

    fn token(number: u128) -> TokenId {
        TokenId(Uuid::from_u128(number))
    }

    #[test]
    fn uses_are_coalesced_and_come_back_when_they_cannot_be_written() {
        let recorder = UsageRecorder::default();
        for code in [DecisionCode::Valid, DecisionCode::Valid, DecisionCode::Expired] {
            recorder.note(token(1), code, AT, None, Some(&"curl/8".into()));
        }
        let taken = recorder.take();
        let hour = (token(1), datetime!(2026-01-02 12:00 UTC));
        assert_eq!(taken.hours[&hour], Counts { allowed: 2, refused: 1 });
        recorder.note(token(1), DecisionCode::Valid, AT - Duration::SECOND, None, None);
        recorder.put_back(taken);
        let taken = recorder.take();
        assert_eq!(taken.hours[&hour], Counts { allowed: 3, refused: 1 });
        assert_eq!(taken.last[&token(1)].at, AT, "the latest wins");
        assert!(recorder.take().hours.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_known_tokens_are_still_counted() {
        let recorder = UsageRecorder::default();
        for number in 0..=u128::try_from(HELD_MAX).unwrap() {
            recorder.note(token(number), DecisionCode::Valid, AT, None, None);
        }
        recorder.note(token(0), DecisionCode::Valid, AT, None, None);
        let (waiting, dropped) = recorder.state();
        assert_eq!(waiting, u64::try_from(HELD_MAX).unwrap());
        assert!(dropped > 0);
        let taken = recorder.take();
        assert_eq!((taken.last.len(), taken.hours.len()), (HELD_MAX, HELD_MAX));
        assert!(taken.lost > 0);
        assert_eq!(recorder.state(), (0, dropped), "what was lost stays counted");
        assert_eq!(taken.hours[&(token(0), hour_of(AT))].allowed, 2);
    }

    #[test]
    fn agent_is_cut_and_has_no_nul() {
        let recorder = UsageRecorder::default();
        let agent: Arc<str> = format!("a\0{}", "é".repeat(1_000)).into();
        recorder.note(token(1), DecisionCode::Valid, AT, None, Some(&agent));
        let agents = recorder.take().last_uses().agents;
        assert_eq!(agents[0].chars().count(), AGENT_MAX);
        assert!(!agents[0].contains('\0'));
    }
}
