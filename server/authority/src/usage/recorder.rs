//! Gathers the uses of all tokens since they were last written.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{ids::TokenId, usage::hour_of};
use time::OffsetDateTime;

use crate::kernel::{
    Known,
    uses::{Counts, LastUse, Use, Uses},
};

/// How long a token's uses are gathered after the last write. Its own row and that of the hour make
/// two rows in two minutes.
const WRITTEN_EVERY: Duration = Duration::from_mins(2);
/// The maximum number of tokens that are recorded between two flushes.
const FRESH_MAX: usize = 100_000;
/// The maximum number of tokens that are recorded within [`WRITTEN_EVERY`].
const HELD_MAX: usize = 1_000_000;
/// Tokens that are processed before other tasks get their turn.
pub(crate) const STEP: usize = 128;

/// Uses since the last flush.
#[derive(Debug, Default)]
pub(crate) struct UsageRecorder {
    /// Cached tokens with uses that were not gathered yet.
    fresh: Mutex<Vec<Arc<Known>>>,
    held: Mutex<Held>,
    /// Uses for which there was no room.
    dropped: AtomicU64,
    /// Whether the next flush writes everything.
    all_soon: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    /// The recently written tokens, with their uses since.
    resting: HashMap<TokenId, Gathered>,
    /// When each of them was written, in that order.
    written: VecDeque<(Duration, TokenId)>,
    /// The uses that are to be written now.
    due: HashMap<TokenId, Gathered>,
}

/// The uses of one token, hour by hour.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) last: Option<LastUse>,
    pub(crate) hours: Vec<(OffsetDateTime, Counts)>,
}

impl UsageRecorder {
    /// Records that a token was presented, and the answer.
    pub(crate) fn note(&self, known: &Arc<Known>, used: Use<'_>) {
        let mut noted = known.noted().lock();
        match &mut *noted {
            Some(sum) if sum.hour == hour_of(used.at) => sum.add(used),
            Some(sum) => {
                let earlier = std::mem::replace(sum, Uses::of(used));
                drop(noted);
                self.held().put(known.token_id, earlier.into(), &self.dropped);
            }
            // Otherwise it would stay in memory until the next flush although the cache has no room
            // for it.
            _ if known.is_heavy() => {
                drop(noted);
                self.held().put(known.token_id, Uses::of(used).into(), &self.dropped);
            }
            none => {
                let mut fresh = self.fresh();
                if fresh.len() < FRESH_MAX {
                    fresh.push(Arc::clone(known));
                    *none = Some(Uses::of(used));
                } else {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Returns the number of tokens that wait to be written, and the number of uses for which there
    /// was no room.
    pub(crate) fn state(&self) -> (u64, u64) {
        let fresh = self.fresh().len();
        let held = self.held();
        let resting = held.resting.values().filter(|uses| !uses.hours.is_empty()).count();
        let waiting = fresh + resting + held.due.len();
        let dropped = self.dropped.load(Ordering::Relaxed);
        (u64::try_from(waiting).unwrap_or(u64::MAX), dropped)
    }

    /// Makes the next flush write the uses of all tokens and clear the list of recent tokens.
    pub(crate) fn write_all_soon(&self) {
        self.all_soon.store(true, Ordering::Release);
    }

    /// Gathers the uses that are due: those of tokens of which nothing was written for a while, or
    /// those of all tokens. Works in steps, so that concurrent verifications don't wait for it.
    pub(crate) async fn gather(&self, now: Duration, all: bool) {
        let all = self.all_soon.swap(false, Ordering::AcqRel) || all;
        let fresh = std::mem::take(&mut *self.fresh());
        for known in fresh.chunks(STEP) {
            for known in known {
                let Some(uses) = known.noted().lock().take() else { continue };
                self.held().put(known.token_id, uses.into(), &self.dropped);
            }
            tokio::task::yield_now().await;
        }
        while self.held().wake(now, all) {
            tokio::task::yield_now().await;
        }
    }

    /// Takes some of the uses that are due.
    pub(crate) fn take_due(&self) -> HashMap<TokenId, Gathered> {
        let mut held = self.held();
        if held.due.len() <= STEP {
            return std::mem::take(&mut held.due);
        }
        // The order of ids would put rows that are neighbours in the tables together, but a map has
        // no order.
        let some: Vec<TokenId> = held.due.keys().take(STEP).copied().collect();
        some.iter().filter_map(|token| held.due.remove_entry(token)).collect()
    }

    /// Records that these tokens were written.
    pub(crate) fn written(&self, tokens: impl Iterator<Item = TokenId>, now: Duration) {
        let mut held = self.held();
        for token in tokens {
            if held.resting.len() < HELD_MAX {
                held.resting.entry(token).or_default();
                held.written.push_back((now, token));
            }
        }
    }

    /// Puts back the uses that were not written.
    pub(crate) fn put_back(&self, unwritten: HashMap<TokenId, Gathered>) {
        let mut held = self.held();
        for (token, uses) in unwritten {
            if !uses.is_empty() {
                held.put_due(token, uses, &self.dropped);
            }
        }
    }

    fn fresh(&self) -> MutexGuard<'_, Vec<Arc<Known>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn put(&mut self, token: TokenId, uses: Gathered, dropped: &AtomicU64) {
        match self.resting.get_mut(&token) {
            Some(known) => known.add(uses),
            None => self.put_due(token, uses, dropped),
        }
    }

    fn put_due(&mut self, token: TokenId, uses: Gathered, dropped: &AtomicU64) {
        if self.due.len() >= HELD_MAX && !self.due.contains_key(&token) {
            dropped.fetch_add(uses.count(), Ordering::Relaxed);
        } else {
            self.due.entry(token).or_default().add(uses);
        }
    }

    /// Makes the uses that have rested for long enough due. Returns whether there may be more.
    fn wake(&mut self, now: Duration, all: bool) -> bool {
        for _ in 0..STEP {
            match self.written.front() {
                Some((at, token)) if all || now.saturating_sub(*at) >= WRITTEN_EVERY => {
                    if let Some(uses) = self.resting.remove(token).filter(|uses| !uses.is_empty()) {
                        self.due.entry(*token).or_default().add(uses);
                    }
                    self.written.pop_front();
                }
                _ => return false,
            }
        }
        true
    }
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.last.is_none() && self.hours.is_empty()
    }

    fn count(&self) -> u64 {
        let uses: i64 = self.hours.iter().map(|(_, counts)| counts.allowed + counts.refused).sum();
        u64::try_from(uses).unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        if let Some(last) = other.last
            && self.last.as_ref().is_none_or(|known| known.at <= last.at)
        {
            self.last = Some(last);
        }
        for (hour, counts) in other.hours {
            match self.hours.iter_mut().find(|(known, _)| *known == hour) {
                Some((_, known)) => {
                    known.allowed = known.allowed.saturating_add(counts.allowed);
                    known.refused = known.refused.saturating_add(counts.refused);
                }
                None => self.hours.push((hour, counts)),
            }
        }
    }
}

impl From<Uses> for Gathered {
    fn from(uses: Uses) -> Self {
        Self { last: uses.last, hours: vec![(uses.hour, uses.counts)] }
    }
}

#[cfg(test)]
mod tests {
    use domain::decision::DecisionCode;
    use time::macros::datetime;

    use super::*;
    use crate::kernel::known;
    use crate::kernel::uses::AGENT_MAX;

    const AT: OffsetDateTime = datetime!(2026-01-02 12:34:56 UTC);
    const HOUR: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);

    fn used(code: DecisionCode, at: OffsetDateTime) -> Use<'static> {
        Use { code, at, address: None, agent: Some("curl/8") }
    }

    /// Returns what a flush at this second writes.
    async fn flush(recorder: &UsageRecorder, second: u64, all: bool) -> HashMap<TokenId, Gathered> {
        let now = Duration::from_secs(second);
        recorder.gather(now, all).await;
        let mut taken = HashMap::new();
        loop {
            let some = recorder.take_due();
            if some.is_empty() {
                return taken;
            }
            recorder.written(some.keys().copied(), now);
            taken.extend(some);
        }
    }

    #[tokio::test]
    async fn uses_are_coalesced_and_kept_if_they_cannot_be_written() {
        let recorder = UsageRecorder::default();
        let known = known::of(1);
        for code in [DecisionCode::Valid, DecisionCode::Valid, DecisionCode::Expired] {
            recorder.note(&known, used(code, AT));
        }
        recorder.gather(Duration::ZERO, false).await;
        let taken = recorder.take_due();
        assert_eq!(taken[&known.token_id].hours, [(HOUR, Counts { allowed: 2, refused: 1 })]);
        // The same token by another of its secrets, or after another lookup.
        recorder.note(
            &crate::kernel::known::of(1),
            used(DecisionCode::Valid, AT - time::Duration::SECOND),
        );
        recorder.put_back(taken);
        let taken = flush(&recorder, 2, false).await;
        assert_eq!(taken[&known.token_id].hours, [(HOUR, Counts { allowed: 3, refused: 1 })]);
        assert_eq!(taken[&known.token_id].last.as_ref().unwrap().at, AT, "the latest use wins");
        assert!(flush(&recorder, 4, true).await.is_empty());
    }

    #[tokio::test]
    async fn token_is_due_every_two_minutes_and_nothing_is_lost() {
        let recorder = UsageRecorder::default();
        let kept = known::of(1);
        let mut written = (0, 0);
        for second in 0..360 {
            // After another lookup, it is still the same token.
            let token = if second % 7 == 0 { &known::of(1) } else { &kept };
            recorder.note(token, used(DecisionCode::Valid, AT));
            let due = flush(&recorder, 1_000 + second, false).await;
            written.0 += due.len();
            written.1 += due.values().map(Gathered::count).sum::<u64>();
        }
        assert_eq!(written, (3, 241));
        assert_eq!(recorder.state(), (1, 0));
        let rest = flush(&recorder, 1_360, true).await;
        assert_eq!(rest[&kept.token_id].count(), 119);
        assert!(rest[&kept.token_id].last.is_some());
        assert_eq!(recorder.state(), (0, 0));
    }

    #[tokio::test]
    async fn heavy_token_is_counted_but_not_kept_in_memory() {
        let recorder = UsageRecorder::default();
        let sum = Arc::default();
        let mut facts = known::facts(1, 7);
        let mut surroundings = crate::kernel::Surroundings::clone(&facts.surroundings);
        surroundings.counted = crate::kernel::Counted::new(&sum, 100_000);
        facts.surroundings = surroundings.into();
        let token = Arc::new(Known::new(facts));
        for second in 0..3 {
            recorder.note(&token, used(DecisionCode::Valid, AT));
            recorder.note(&token, used(DecisionCode::Expired, AT));
            assert_eq!(Arc::strong_count(&token), 1);
            let due = flush(&recorder, second, true).await;
            assert_eq!(due[&token.token_id].hours, [(HOUR, Counts { allowed: 1, refused: 1 })]);
        }
        drop(token);
        assert_eq!(sum.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn each_hour_has_its_own_count() {
        let recorder = UsageRecorder::default();
        let token = known::of(1);
        recorder.note(&token, used(DecisionCode::Valid, AT));
        recorder.note(&token, used(DecisionCode::Valid, AT + time::Duration::HOUR));
        recorder.note(&token, used(DecisionCode::Valid, AT + time::Duration::HOUR));
        let mut hours = flush(&recorder, 0, false).await.remove(&token.token_id).unwrap().hours;
        hours.sort_unstable_by_key(|(hour, _)| *hour);
        let counts = |allowed| Counts { allowed, refused: 0 };
        assert_eq!(hours, [(HOUR, counts(1)), (HOUR + time::Duration::HOUR, counts(2))]);
    }

    #[tokio::test]
    async fn long_user_agent_is_cut_before_it_is_stored() {
        let recorder = UsageRecorder::default();
        let known = known::of(1);
        for agent in ["x".repeat(100_000), format!("a{}", "é".repeat(50_000))] {
            recorder.note(&known, Use { agent: Some(&agent), ..used(DecisionCode::Valid, AT) });
            let last = known.noted().lock().as_ref().and_then(|uses| uses.last.clone()).unwrap();
            let held = last.agent.unwrap();
            assert!((AGENT_MAX - 1..=AGENT_MAX).contains(&held.len()));
            assert!(agent.starts_with(&*held));
        }
    }

    #[tokio::test]
    async fn memory_is_bounded_and_known_tokens_are_still_counted() {
        let recorder = UsageRecorder::default();
        let first = known::of(0);
        recorder.note(&first, used(DecisionCode::Valid, AT));
        for number in 1..=FRESH_MAX {
            recorder.note(&known::of(number as u128), used(DecisionCode::Valid, AT));
        }
        recorder.note(&first, used(DecisionCode::Valid, AT));
        assert_eq!(recorder.state(), (FRESH_MAX as u64, 1));
        let taken = flush(&recorder, 0, false).await;
        assert_eq!(taken.len(), FRESH_MAX);
        assert_eq!(taken[&first.token_id].count(), 2);
        assert_eq!(recorder.state(), (0, 1), "the count of lost uses is kept");
    }
}
