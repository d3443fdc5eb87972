//! How much of a rate limit is spent, and of the limits that it replaced.
//!
//! A caller who may change a limit must not restore an exhausted limit sooner by switching to
//! others and back. So replaced limits are kept until they are whole. Uses count against all of
//! them, but only the current limit refuses uses. A limit that comes back is spent as far as it
//! would be without the others; a new limit starts as far spent as the most spent of them.
//!
//! Only [`EARLIER_MAX`] of them are kept. Beyond that, the limit that would be whole first is
//! dropped, and the one with the shortest window is raised to at least the same spent share: a new
//! limit then stays spent far enough until both are whole.

use domain::rate_limit::RateLimit;

use crate::facts::RateState;

/// How many limits are kept besides the current one.
const EARLIER_MAX: usize = 4;
const NANOS: i128 = 1_000_000_000;
/// How long a request may have waited between its recorded time and this check, in nanoseconds.
const LATE: i128 = 10 * NANOS;

/// A limit with the spent part of it, and the limits that it replaced.
#[derive(Debug)]
pub(crate) struct Bucket {
    level: Level,
    /// Boxed because limits in use rarely change.
    earlier: Option<Box<Earlier>>,
}

#[derive(Debug)]
struct Earlier(Vec<Level>);

#[derive(Clone, Copy, Debug)]
struct Level {
    limit: RateLimit,
    /// When the limit is whole again, in nanoseconds since 1970.
    whole_at: i128,
}

impl Bucket {
    /// Returns a bucket with nothing spent.
    pub(crate) const fn whole(limit: RateLimit, now: i128) -> Self {
        Self { level: Level { limit, whole_at: now }, earlier: None }
    }

    /// Returns whether nothing is spent of any limit.
    pub(crate) fn is_whole(&self, now: i128) -> bool {
        self.level.whole_at <= now
            && self
                .earlier
                .as_ref()
                .is_none_or(|earlier| earlier.0.iter().all(|level| level.whole_at <= now))
    }

    /// Takes one use of the current limit, if one remains.
    pub(crate) fn take(&mut self, rate: RateLimit, now: i128) -> RateState {
        if self.level.limit != rate {
            self.change(rate, now);
        }
        let each = each(rate);
        let window = window_of(rate);
        let whole_at = &mut self.level.whole_at;
        // A request that waited for the database carries an earlier time; it must not restore uses.
        // But a clock that was set back locks callers out for at most one window.
        let held = if *whole_at > now + window + LATE { now + window } else { now.max(*whole_at) };
        let after = held + each;
        let allowed = after <= now + window;
        *whole_at = if allowed { after } else { held };
        let until_whole = *whole_at - now;
        let wait = if allowed { 0 } else { after - window - now };
        if allowed && self.earlier.is_some() {
            self.count(now);
        }
        RateState {
            allowed,
            limit: rate.limit(),
            window_s: rate.window_s(),
            remaining: number((window - until_whole).max(0) / each),
            reset_s: number((until_whole + NANOS - 1) / NANOS).min(rate.window_s()),
            retry_after_s: number((wait + NANOS - 1) / NANOS),
        }
    }

    /// Counts a use against the replaced limits, and drops those that are whole.
    fn count(&mut self, now: i128) {
        let Some(earlier) = &mut self.earlier else { return };
        earlier.0.retain(|level| level.whole_at > now);
        for level in &mut earlier.0 {
            let after = (level.whole_at + each(level.limit)).min(now + window_of(level.limit));
            level.whole_at = level.whole_at.max(after);
        }
        if earlier.0.is_empty() {
            self.earlier = None;
        }
    }

    /// Replaces the limit.
    #[cold]
    fn change(&mut self, rate: RateLimit, now: i128) {
        let mut levels = self.earlier.take().map(|earlier| earlier.0).unwrap_or_default();
        levels.push(self.level);
        levels.retain(|level| level.whole_at > now);
        let known = levels.iter().position(|level| level.limit == rate);
        self.level = if let Some(place) = known {
            levels.swap_remove(place)
        } else {
            let window = window_of(rate);
            let spent = levels.iter().map(|level| level.spent_of(window, now)).max();
            Level { limit: rate, whole_at: now + spent.unwrap_or_default() }
        };
        if levels.len() > EARLIER_MAX {
            forget_first(&mut levels, now);
        }
        self.earlier = (!levels.is_empty()).then(|| Box::new(Earlier(levels)));
    }
}

impl Level {
    /// Returns the same spent share in terms of another window, rounded up.
    fn spent_of(self, window: i128, now: i128) -> i128 {
        let own = window_of(self.limit);
        let spent = (self.whole_at - now).clamp(0, own);
        (spent * window + own - 1) / own
    }
}

/// Drops the limit that is whole first. The others are whole later, so raising one of them to the
/// same spent share keeps it spent for at least as long.
fn forget_first(levels: &mut Vec<Level>, now: i128) {
    let first = levels.iter().enumerate().min_by_key(|(_, level)| level.whole_at);
    let Some((place, _)) = first else { return };
    let gone = levels.swap_remove(place);
    if let Some(heir) = levels.iter_mut().min_by_key(|level| window_of(level.limit)) {
        heir.whole_at = heir.whole_at.max(now + gone.spent_of(window_of(heir.limit), now));
    }
}

/// Returns the nanoseconds that one use takes, rounded up so that a window never allows more uses
/// than the limit.
fn each(rate: RateLimit) -> i128 {
    let uses = i128::from(rate.limit());
    (i128::from(rate.window_s()) * NANOS + uses - 1) / uses
}

fn window_of(rate: RateLimit) -> i128 {
    each(rate) * i128::from(rate.limit())
}

fn number(value: i128) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(limit: i64, window_s: i64) -> RateLimit {
        RateLimit::new(limit, window_s).unwrap()
    }

    fn at(seconds: i128) -> i128 {
        seconds * NANOS
    }

    /// Returns how many uses are allowed at once.
    fn uses(bucket: &mut Bucket, rate: RateLimit, now: i128) -> usize {
        (0..2_000).take_while(|_| bucket.take(rate, now).allowed).count()
    }

    #[test]
    fn restored_limit_is_as_spent_as_if_it_had_stayed() {
        for (limit, small) in [(rate(20, 600), rate(1, 30)), (rate(1_000, 86_400), rate(1, 87))] {
            let mut bucket = Bucket::whole(limit, 0);
            assert_eq!(uses(&mut bucket, limit, 0), limit.limit() as usize);
            for round in 1..4 {
                let now = at(round * 100);
                assert_eq!(uses(&mut bucket, small, now - at(1)), 0);
                let refilled = uses(&mut bucket, limit, now);
                assert!(refilled <= 4, "{refilled}");
            }
        }
    }

    #[test]
    fn uses_also_count_against_replaced_limits() {
        let (small, large) = (rate(10, 100), rate(1_000, 100));
        let mut bucket = Bucket::whole(small, 0);
        assert!(bucket.take(small, 0).allowed);
        for _ in 0..9 {
            assert!(bucket.take(large, 0).allowed);
        }
        assert_eq!(bucket.take(small, 0).retry_after_s, 10);
        // As far as spent, and no further.
        assert_eq!(uses(&mut bucket, large, 0), 891);
        assert_eq!(bucket.take(small, 0).retry_after_s, 10);
    }

    /// The exhausted limit is whole first, so it is the one that is dropped.
    #[test]
    fn exhausted_limit_that_was_dropped_is_not_full_when_restored() {
        let large = |number: i64| rate(1_000, 86_400 - number);
        let mut bucket = Bucket::whole(large(0), 0);
        for number in 0..4 {
            for _ in 0..2 {
                assert!(bucket.take(large(number), 0).allowed);
            }
        }
        let small = rate(20, 600);
        assert_eq!(uses(&mut bucket, small, 0), 19);
        assert!(!bucket.take(rate(1, 1), 0).allowed);
        assert!(uses(&mut bucket, small, at(2)) <= 1);
    }

    #[test]
    fn full_limits_are_not_kept() {
        let mut bucket = Bucket::whole(rate(10, 10), 0);
        for window in 11..100 {
            assert!(bucket.earlier.as_ref().is_none_or(|earlier| earlier.0.len() <= EARLIER_MAX));
            bucket.take(rate(10, window), 0);
        }
        assert!(bucket.earlier.is_some() && !bucket.is_whole(at(10)));
        let now = at(1_000);
        assert!(bucket.is_whole(now));
        assert!(bucket.take(rate(10, 99), now).allowed);
        assert!(bucket.earlier.is_none());
        assert_eq!(uses(&mut bucket, rate(10, 10), now), 9);
    }

    proptest! {
        /// No sequence of changes lets more uses through one of the limits than that limit allows
        /// without changes.
        #[test]
        fn no_sequence_of_changes_exceeds_any_one_limit(
            limits in proptest::collection::vec((1..30_i64, 1..200_i64), 1..9),
            steps in proptest::collection::vec((0..8_usize, 0..10_000_i128, 1..20_usize), 1..100),
        ) {
            let limits: Vec<RateLimit> =
                limits.into_iter().map(|(limit, window_s)| rate(limit, window_s)).collect();
            let mut passed = vec![Vec::new(); limits.len()];
            let (mut bucket, mut now) = (Bucket::whole(limits[0], 0), 0);
            for (choice, pause_ms, tries) in steps {
                now += pause_ms * 1_000_000;
                let place = choice % limits.len();
                for _ in 0..tries {
                    if bucket.take(limits[place], now).allowed {
                        passed[place].push(now);
                    }
                }
            }
            for (limit, passed) in limits.iter().zip(&passed) {
                for (first, from) in passed.iter().enumerate() {
                    for (last, to) in passed.iter().enumerate().skip(first) {
                        let uses = i128::try_from(last - first + 1).unwrap();
                        let refilled = (to - from) / each(*limit);
                        prop_assert!(
                            uses <= i128::from(limit.limit()) + refilled + 1,
                            "{limit:?}: {uses} in {} ns", to - from,
                        );
                    }
                }
            }
        }
    }
}
