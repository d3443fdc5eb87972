//! Counts events since a server started, for monitoring.
//!
//! No decision depends on these numbers, and none of them needs the database. The hot ones cost one
//! relaxed addition to a number that few threads share: they are kept in shards, each on its own
//! cache lines, and added up when they are read. A snapshot that is taken while other threads count
//! does not describe a single moment.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use domain::decision::DecisionCode;

/// Number of shards. Beyond this many threads, shards are shared.
const SHARDS: usize = 16;
/// Room for the codes of decisions.
const CODES: usize = 16;
const CACHE_HITS: usize = CODES;
const CACHE_MISSES: usize = CODES + 1;
const PASSWORD_CHECKS: usize = CODES + 2;
const SIGN_INS_THROTTLED: usize = CODES + 3;
const NUMBERS: usize = CODES + 4;

/// Upper bounds of the histogram's buckets in milliseconds. A bucket without a bound follows.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/// A server's numbers.
#[derive(Debug, Default)]
pub struct Counters {
    shards: [Shard; SHARDS],
    revocations: Times,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([AtomicU64; NUMBERS]);

#[derive(Debug, Default)]
struct Times {
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

/// The numbers at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Answers to verifications, by their code: every code, in a fixed order.
    pub verifications: Vec<(DecisionCode, u64)>,
    /// Verifications whose facts were in the cache.
    pub cache_hits: u64,
    /// Verifications whose facts were queried from the database.
    pub cache_misses: u64,
    /// Passwords that were hashed for a sign-in, right or wrong.
    pub password_checks: u64,
    /// Sign-in attempts that were refused unchecked because there were too many.
    pub sign_ins_throttled: u64,
    /// How long narrowing changes took from their commit until no server answered from earlier
    /// facts.
    pub revocations: Histogram,
}

/// A distribution of durations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Rising upper bounds, each with the number of durations up to it.
    pub buckets: Vec<(Duration, u64)>,
    /// The number of durations.
    pub count: u64,
    /// The sum of all durations.
    pub sum: Duration,
}

impl Counters {
    /// Counts the answer to a verification.
    pub(crate) fn decided(&self, code: DecisionCode) {
        self.add(code as usize);
    }

    /// Counts facts that were in the cache.
    pub(crate) fn cache_hit(&self) {
        self.add(CACHE_HITS);
    }

    /// Counts facts that were queried from the database.
    pub(crate) fn cache_miss(&self) {
        self.add(CACHE_MISSES);
    }

    /// Counts a password that is hashed for a sign-in.
    pub(crate) fn password_checked(&self) {
        self.add(PASSWORD_CHECKS);
    }

    /// Counts a sign-in attempt that is refused unchecked.
    pub(crate) fn sign_in_throttled(&self) {
        self.add(SIGN_INS_THROTTLED);
    }

    /// Records how long a narrowing change took from its commit until every server had applied it.
    pub(crate) fn revoked(&self, took: Duration) {
        let bucket = BOUNDS_MS
            .iter()
            .position(|bound| took <= Duration::from_millis(*bound))
            .unwrap_or(BOUNDS_MS.len());
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.revocations.sum_us.fetch_add(took_us, Ordering::Relaxed);
        self.revocations.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns all numbers.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            verifications: DecisionCode::ALL
                .into_iter()
                .map(|code| (code, self.total(code as usize)))
                .collect(),
            cache_hits: self.total(CACHE_HITS),
            cache_misses: self.total(CACHE_MISSES),
            password_checks: self.total(PASSWORD_CHECKS),
            sign_ins_throttled: self.total(SIGN_INS_THROTTLED),
            revocations: self.revocations.look(),
        }
    }

    fn add(&self, number: usize) {
        if let Some(number) = self.shards[own_shard()].0.get(number) {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn total(&self, number: usize) -> u64 {
        self.shards.iter().map(|shard| shard.0[number].load(Ordering::Relaxed)).sum()
    }
}

/// Returns the shard of this thread, assigned in turn.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        own.get()
    })
}

impl Times {
    fn look(&self) -> Histogram {
        let mut count = 0;
        let mut totals = self.buckets.iter().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        let bounds = BOUNDS_MS.into_iter().map(Duration::from_millis);
        let buckets = bounds.zip(&mut totals).collect();
        totals.for_each(drop);
        let sum = Duration::from_micros(self.sum_us.load(Ordering::Relaxed));
        Histogram { buckets, count, sum }
    }
}

impl Histogram {
    /// Estimates the duration that the given part (0.5 for the median) did not exceed, assuming an
    /// even distribution within a bucket. Returns the last bound for longer durations, and `None`
    /// without any durations.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate does not need more than 52 bits"
        )]
        let rank = ((self.count as f64) * part.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let (mut lower, mut below) = (Duration::ZERO, 0);
        for (upper, total) in &self.buckets {
            if *total >= rank {
                let (within, here) = (rank - below, total - below);
                let wide =
                    u64::try_from(upper.saturating_sub(lower).as_micros()).unwrap_or(u64::MAX);
                return Some(lower + Duration::from_micros(wide.saturating_mul(within) / here));
            }
            (lower, below) = (*upper, *total);
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_code_has_its_own_number() {
        let counters = Counters::default();
        for (times, code) in DecisionCode::ALL.into_iter().enumerate() {
            assert!((code as usize) < CODES, "{code:?} needs a larger CODES");
            for _ in 0..=times {
                counters.decided(code);
            }
        }
        counters.cache_hit();
        counters.cache_miss();
        counters.cache_miss();
        let snapshot = counters.snapshot();
        let counted: Vec<u64> = snapshot.verifications.iter().map(|(_, count)| *count).collect();
        let expected: Vec<u64> = (1..).take(DecisionCode::ALL.len()).collect();
        assert_eq!(counted, expected);
        assert_eq!((snapshot.cache_hits, snapshot.cache_misses), (1, 2));
    }

    #[test]
    fn concurrent_counts_are_not_lost() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..1_000).for_each(|_| counters.decided(DecisionCode::Valid)));
            }
        });
        let counted = counters.snapshot().verifications;
        assert_eq!(counted[0], (DecisionCode::Valid, 2_000 * SHARDS as u64));
    }

    #[test]
    fn quantiles_are_estimated_from_buckets() {
        let counters = Counters::default();
        assert_eq!(counters.snapshot().revocations.quantile(0.5), None);
        for ms in [1, 1, 3, 4, 700, 60_000] {
            counters.revoked(Duration::from_millis(ms));
        }
        let histogram = counters.snapshot().revocations;
        assert_eq!((histogram.count, histogram.sum.as_millis()), (6, 60_709));
        let totals: Vec<u64> = histogram.buckets.iter().map(|(_, total)| *total).collect();
        assert_eq!(totals, [2, 2, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5]);
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_micros(500)));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(3_500)));
        assert_eq!(histogram.quantile(0.8), Some(Duration::from_secs(1)));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_secs(5)), "the last bound");
    }

    proptest! {
        #[test]
        fn estimated_quantile_is_in_the_bucket_of_the_true_quantile(
            times in proptest::collection::vec(1..6_000_000_u64, 1..50),
            part in 0.0..=1.0_f64,
        ) {
            let counters = Counters::default();
            for time in &times {
                counters.revoked(Duration::from_micros(*time));
            }
            let mut sorted = times;
            sorted.sort_unstable();
            let count = f64::from(u32::try_from(sorted.len()).unwrap());
            let rank = (1..sorted.len()).find(|rank| {
                f64::from(u32::try_from(*rank).unwrap()) >= count * part
            });
            let rank = rank.unwrap_or(sorted.len());
            let bucket = |us: u64| {
                BOUNDS_MS.iter().position(|ms| us <= ms * 1_000).unwrap_or(BOUNDS_MS.len() - 1)
            };
            let found = counters.snapshot().revocations.quantile(part).unwrap();
            let found = bucket(u64::try_from(found.as_micros()).unwrap());
            let truth = bucket(sorted[rank - 1]);
            prop_assert_eq!(found, truth.min(BOUNDS_MS.len() - 1));
        }
    }
}
