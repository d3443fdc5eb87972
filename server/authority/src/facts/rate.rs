//! Applies the rate limits of tokens.
//!
//! For each token one point in time is kept: when its limit will be whole again (the generic cell
//! rate algorithm, ITU-T I.371). A use moves it forward by `window / limit` and is refused when
//! that would put it more than a window ahead. So `limit` uses are allowed at once, and then one
//! every `window / limit`. A change of the limit never restores uses sooner ([`super::bucket`]).
//!
//! State is kept in memory: each server counts separately, and a restart makes every limit whole. A
//! token whose limit is whole again is dropped; the number of entries is bounded by twice the
//! number of tokens whose limit is not whole. Only tokens with a limit are entered here.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Mutex, PoisonError},
};

use domain::{ids::TokenId, rate_limit::RateLimit};
use time::OffsetDateTime;

use crate::facts::bucket::Bucket;

/// Number of shards. Concurrent uses of different tokens contend only within a shard.
const SHARDS: usize = 64;
/// Entries in a shard before the first search for entries to drop.
const HELD_MIN: usize = 64;

/// The state of a token's rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// Whether this use is allowed.
    pub allowed: bool,
    /// Uses in a window.
    pub limit: u32,
    /// The window in seconds.
    pub window_s: u32,
    /// Uses that may follow immediately.
    pub remaining: u32,
    /// Seconds until the limit is whole again, rounded up.
    pub reset_s: u32,
    /// Seconds until the next use is allowed, rounded up; 0 if this one was.
    pub retry_after_s: u32,
}

/// The limits of all recently used tokens.
pub(crate) type TokenRates = Rates<TokenId>;

/// The limits of everything used recently, by key.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    shards: [Mutex<Shard<K>>; SHARDS],
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<K> {
    held: HashMap<K, Bucket>,
    /// The number of entries at which those that are whole are dropped.
    look_at: usize,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        let shard = |_| Mutex::new(Shard { held: HashMap::new(), look_at: HELD_MIN });
        Self { shards: std::array::from_fn(shard), hasher: RandomState::new() }
    }
}

impl<K: Eq + Hash> Rates<K> {
    /// Takes one use of the key's limit, if one remains.
    pub(crate) fn take(&self, key: K, limit: RateLimit, now: OffsetDateTime) -> RateState {
        // Ids are ordered by creation time: their own bits would crowd into a few shards.
        let place = usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        shard.take(key, limit, now.unix_timestamp_nanos())
    }
}

impl<K: Eq + Hash> Shard<K> {
    fn take(&mut self, key: K, rate: RateLimit, now: i128) -> RateState {
        if self.held.len() >= self.look_at && !self.held.contains_key(&key) {
            self.held.retain(|_, bucket| !bucket.is_whole(now));
            self.look_at = HELD_MIN.max(2 * self.held.len());
        }
        self.held.entry(key).or_insert_with(|| Bucket::whole(rate, now)).take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    use super::*;

    const NANOS: i128 = 1_000_000_000;
    const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

    fn token(number: u128) -> TokenId {
        TokenId(Uuid::from_u128(number))
    }

    fn rate(limit: i64, window_s: i64) -> RateLimit {
        RateLimit::new(limit, window_s).unwrap()
    }

    fn held(rates: &TokenRates) -> usize {
        rates.shards.iter().map(|shard| shard.lock().unwrap().held.len()).sum()
    }

    #[test]
    fn limit_allows_a_burst_and_then_one_use_per_fraction_of_the_window() {
        let (rates, limit) = (TokenRates::default(), rate(3, 60));
        let state = |remaining, reset_s| RateState {
            allowed: true,
            limit: 3,
            window_s: 60,
            remaining,
            reset_s,
            retry_after_s: 0,
        };
        for (remaining, reset_s) in [(2, 20), (1, 40), (0, 60)] {
            assert_eq!(rates.take(token(1), limit, NOW), state(remaining, reset_s));
        }
        let refused = RateState { allowed: false, retry_after_s: 20, ..state(0, 60) };
        assert_eq!(rates.take(token(1), limit, NOW), refused);
        // A retry takes nothing, and another token has a limit of its own.
        assert_eq!(rates.take(token(1), limit, NOW), refused);
        assert_eq!(rates.take(token(2), limit, NOW), state(2, 20));
        let soon = NOW + Duration::milliseconds(19_001);
        let refused = RateState { allowed: false, retry_after_s: 1, ..state(0, 41) };
        assert_eq!(rates.take(token(1), limit, soon), refused);
        assert_eq!(rates.take(token(1), limit, NOW + Duration::seconds(20)), state(0, 60));
        assert_eq!(rates.take(token(1), limit, NOW + Duration::seconds(200)), state(2, 20));
    }

    #[test]
    fn clock_set_back_locks_no_token_out_for_longer_than_a_window() {
        let rates = TokenRates::default();
        for _ in 0..3 {
            rates.take(token(1), rate(3, 60), NOW);
        }
        let earlier = NOW - Duration::days(1);
        assert_eq!(rates.take(token(1), rate(3, 60), earlier).retry_after_s, 20);
        assert!(rates.take(token(1), rate(3, 60), earlier + Duration::seconds(20)).allowed);
    }

    #[test]
    fn changed_limit_is_as_spent_as_the_previous_one() {
        let rates = TokenRates::default();
        assert!(rates.take(token(1), rate(1, 86_400), NOW).allowed);
        assert_eq!(rates.take(token(1), rate(1, 10), NOW).retry_after_s, 10);
        assert!(rates.take(token(1), rate(1, 10), NOW + Duration::seconds(10)).allowed);
        for window in 0..20 {
            assert!(
                !rates.take(token(1), rate(1, 10 + window), NOW + Duration::seconds(10)).allowed
            );
        }
        // Half of one limit is half of the other.
        for _ in 0..5 {
            assert!(rates.take(token(2), rate(10, 10), NOW).allowed);
        }
        assert_eq!(rates.take(token(2), rate(100, 60), NOW).remaining, 49);
    }

    #[test]
    fn late_use_refills_nothing() {
        let (rates, limit) = (TokenRates::default(), rate(10, 10));
        for _ in 0..10 {
            assert!(rates.take(token(1), limit, NOW).allowed);
        }
        let late = rates.take(token(1), limit, NOW - Duration::milliseconds(1_500));
        assert_eq!(
            (late.allowed, late.remaining, late.reset_s, late.retry_after_s),
            (false, 0, 10, 3)
        );
        assert!(!rates.take(token(1), limit, NOW).allowed);
        assert!(rates.take(token(1), limit, NOW + Duration::SECOND).allowed);
    }

    #[test]
    fn idle_tokens_are_forgotten() {
        let (rates, limit) = (TokenRates::default(), rate(1, 1));
        for number in 0..100_000 {
            // A thousand tokens a second.
            let now = NOW + Duration::milliseconds(i64::try_from(number).unwrap());
            assert!(rates.take(token(number), limit, now).allowed);
        }
        assert!(held(&rates) <= SHARDS * HELD_MIN, "{}", held(&rates));
    }

    #[test]
    fn tokens_with_a_spent_limit_are_never_forgotten() {
        let (rates, limit) = (TokenRates::default(), rate(1, 86_400));
        for _ in 0..2 {
            for number in 0..20_000 {
                rates.take(token(number), limit, NOW);
            }
        }
        assert_eq!(held(&rates), 20_000);
        assert!((0..20_000).all(|number| !rates.take(token(number), limit, NOW).allowed));
    }

    proptest! {
        /// No period allows more uses than the limit and the refill within that period.
        #[test]
        fn uses_never_exceed_the_limit_and_its_refill(
            limit in 1..20_i64, window_s in 1..100_i64,
            steps in proptest::collection::vec(0..5_000_i64, 1..200),
        ) {
            let (rates, rate) = (TokenRates::default(), rate(limit, window_s));
            let mut now = NOW;
            let mut passed = Vec::new();
            for step in steps {
                now += Duration::milliseconds(step);
                let state = rates.take(token(1), rate, now);
                prop_assert!(state.remaining < rate.limit() && state.reset_s <= rate.window_s());
                prop_assert_eq!(state.allowed, state.retry_after_s == 0);
                if state.allowed {
                    passed.push(now);
                } else {
                    // A retry after the reported delay is allowed.
                    now += Duration::seconds(state.retry_after_s.into());
                    prop_assert!(rates.take(token(1), rate, now).allowed);
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let uses = i128::try_from(last - first + 1).unwrap();
                    let spent = (*to - *from).whole_nanoseconds();
                    let refilled = spent * i128::from(limit) / (i128::from(window_s) * NANOS);
                    prop_assert!(uses <= i128::from(limit) + refilled, "{uses} {refilled}");
                }
            }
        }

        #[test]
        fn any_limit_at_any_time_never_panics(
            limit in 1..=1_000_000_i64, window_s in 1..=86_400_i64,
            seconds in proptest::collection::vec(-377_705_116_800_i64..253_402_300_800, 1..20),
        ) {
            let (rates, rate) = (TokenRates::default(), rate(limit, window_s));
            for second in seconds {
                let now = OffsetDateTime::from_unix_timestamp(second).unwrap();
                rates.take(token(1), rate, now);
            }
        }
    }
}
