//! Rotation: which of a token's secrets work after it gets a new one, and until when.
//!
//! A token has one current secret and at most one older secret that still works.

use time::{Duration, OffsetDateTime, macros::datetime};

use crate::{
    expiry::{ExpiryChoice, ExpiryError},
    policy::Policy,
};

/// The last second that RFC 3339 can represent.
const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

/// How long the replaced secret continues to work. By default it stops working immediately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// The number of seconds that it continues to work.
    pub seconds: Option<i64>,
    /// Whether it works until the new secret is first used, but no longer than `seconds` or the
    /// policy allows.
    pub until_first_use: bool,
}

/// The state before a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// When the current secret was created.
    pub made_at: OffsetDateTime,
    /// Whether the current secret was ever used.
    pub used: bool,
    /// Whether an older secret still works.
    pub older_works: bool,
    /// When the token expires.
    pub ends_at: Option<OffsetDateTime>,
}

impl Before {
    /// Returns the lifetime of the current secret; `None` if the token never expires or
    /// expired immediately.
    pub fn lifetime(&self) -> Option<Duration> {
        self.ends_at.map(|end| end - self.made_at).filter(|lifetime| lifetime.is_positive())
    }
}

/// The effect of a rotation on the existing secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// The current secret becomes the older one; a previous older secret expires now.
    HandOver {
        /// When the secret that was current expires.
        ends_at: OffsetDateTime,
        /// Whether it also expires when the new secret is first used.
        until_first_use: bool,
    },
    /// The current secret expires now, and the older one keeps its grace period. The current
    /// secret was never used, so its text was probably lost on the way and callers still have
    /// the older one.
    Replace,
}

impl Grace {
    /// Returns the length of the grace period, which is at most `longest`.
    fn length(self, longest: Duration) -> Duration {
        match self.seconds {
            Some(seconds) => Duration::seconds(seconds.max(0)).min(longest),
            None if self.until_first_use => longest,
            None => Duration::ZERO,
        }
    }

    /// Returns the effect of a rotation at `now` on the existing secrets. An older secret never
    /// works longer than the token itself would have.
    pub fn succession(self, before: &Before, longest: Duration, now: OffsetDateTime) -> Succession {
        let lives = before.ends_at.is_none_or(|end| end > now);
        if lives && before.older_works && !before.used {
            return Succession::Replace;
        }
        let wanted = now.checked_add(self.length(longest)).unwrap_or(LAST);
        let ends_at = before.ends_at.map_or(wanted, |end| end.min(wanted));
        Succession::HandOver { ends_at, until_first_use: self.until_first_use && ends_at > now }
    }
}

/// Returns the expiry of a token whose secret is replaced at `now`: the chosen one or, by default,
/// one that keeps the previous lifetime. An expiry that the policy does not allow is replaced by
/// one that it allows, so that policy never makes a rotation fail.
///
/// # Errors
/// Returns an error if an explicitly chosen expiry lies in the past or is out of range.
pub fn renewed_end(
    choice: ExpiryChoice,
    before: &Before,
    policy: &Policy,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, ExpiryError> {
    let wanted = match (choice, before.ends_at) {
        (ExpiryChoice::Default, Some(end)) if end > before.made_at => {
            Some(now.checked_add(end - before.made_at).map_or(LAST, |end| end.min(LAST)))
        }
        (ExpiryChoice::Default, Some(_)) => policy.default_expiry(now),
        (ExpiryChoice::Default, None) | (ExpiryChoice::Never, _) => None,
        (ExpiryChoice::In(_) | ExpiryChoice::At(_) | ExpiryChoice::Exactly(_), _) => {
            Some(choice.moment(now)?)
        }
    };
    Ok(match (wanted, policy.latest_expiry(now)) {
        (Some(end), latest) => Some(latest.map_or(end, |latest| latest.min(end))),
        (None, _) if policy.permits_never() => None,
        (None, latest) => latest.or_else(|| policy.default_expiry(now)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::DAY_S;

    const NOW: OffsetDateTime = datetime!(2026-01-11 00:00 UTC);
    const MADE: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
    const LONGEST: Duration = Duration::days(30);

    fn before(used: bool, older_works: bool) -> Before {
        Before { made_at: MADE, used, older_works, ends_at: Some(MADE + Duration::days(90)) }
    }

    fn hand_over(ends_at: OffsetDateTime, until_first_use: bool) -> Succession {
        Succession::HandOver { ends_at, until_first_use }
    }

    #[test]
    fn current_secret_keeps_working_during_the_grace() {
        let used = before(true, false);
        for (grace, expected) in [
            (Grace::default(), hand_over(NOW, false)),
            (
                Grace { seconds: Some(60), until_first_use: false },
                hand_over(NOW + Duration::minutes(1), false),
            ),
            (
                Grace { seconds: Some(60), until_first_use: true },
                hand_over(NOW + Duration::minutes(1), true),
            ),
            (Grace { seconds: None, until_first_use: true }, hand_over(NOW + LONGEST, true)),
            (
                Grace { seconds: Some(i64::MAX), until_first_use: false },
                hand_over(NOW + LONGEST, false),
            ),
            (Grace { seconds: Some(0), until_first_use: true }, hand_over(NOW, false)),
        ] {
            assert_eq!(grace.succession(&used, LONGEST, NOW), expected, "{grace:?}");
            // If the current secret was used, an older one that still works is superseded.
            assert_eq!(grace.succession(&before(true, true), LONGEST, NOW), expected, "{grace:?}");
        }
    }

    #[test]
    fn unused_current_secret_is_replaced_and_the_older_secret_stays() {
        for grace in [Grace::default(), Grace { seconds: Some(60), until_first_use: true }] {
            assert_eq!(grace.succession(&before(false, true), LONGEST, NOW), Succession::Replace);
        }
        // Without an older secret there is nothing to keep.
        let grace = Grace { seconds: Some(60), until_first_use: false };
        let expected = hand_over(NOW + Duration::minutes(1), false);
        assert_eq!(grace.succession(&before(false, false), LONGEST, NOW), expected);
    }

    #[test]
    fn grace_ends_with_the_token_and_does_not_revive_an_expired_one() {
        let grace = Grace { seconds: Some(7 * DAY_S), until_first_use: true };
        let soon = Before { ends_at: Some(NOW + Duration::hours(1)), ..before(true, false) };
        assert_eq!(
            grace.succession(&soon, LONGEST, NOW),
            hand_over(NOW + Duration::hours(1), true)
        );
        for used in [true, false] {
            let past = Some(NOW - Duration::hours(1));
            let ended = Before { ends_at: past, ..before(used, true) };
            assert_eq!(
                grace.succession(&ended, LONGEST, NOW),
                hand_over(NOW - Duration::hours(1), false)
            );
        }
    }

    #[test]
    fn renewed_token_keeps_its_lifetime_within_policy() {
        let free = Policy::default();
        let bound = Policy { max_ttl_s: Some(30 * DAY_S), allow_never: false, ..Policy::default() };
        let ending = Policy { allow_never: false, ..Policy::default() };
        let endless = Before { ends_at: None, ..before(true, false) };
        let at_once = Before { ends_at: Some(MADE), ..before(true, false) };
        let days = |days| Some(NOW + Duration::days(days));
        for (choice, before, policy, expected) in [
            (ExpiryChoice::Default, before(true, false), &free, days(90)),
            (ExpiryChoice::Default, before(true, false), &bound, days(30)),
            (ExpiryChoice::Default, endless, &free, None),
            (ExpiryChoice::Default, endless, &bound, days(30)),
            (ExpiryChoice::Default, endless, &ending, days(90)),
            (ExpiryChoice::Default, at_once, &free, days(90)),
            (ExpiryChoice::In(365 * DAY_S), endless, &free, days(365)),
            (ExpiryChoice::In(365 * DAY_S), endless, &bound, days(30)),
            (ExpiryChoice::Never, before(true, false), &free, None),
            (ExpiryChoice::Never, before(true, false), &bound, days(30)),
        ] {
            assert_eq!(renewed_end(choice, &before, policy, NOW), Ok(expected), "{choice:?}");
        }
        let past = ExpiryChoice::At(NOW);
        assert_eq!(renewed_end(past, &endless, &bound, NOW), Err(ExpiryError::Past));
    }

    proptest! {
        #[test]
        fn no_rotation_outlives_policy(
            seconds in any::<Option<i64>>(), until_first_use in any::<bool>(), used in any::<bool>(),
            older_works in any::<bool>(), end in proptest::option::of(-100_000i64..100_000_000_000),
            longest in 1i64..1_000_000_000, max_ttl in proptest::option::of(1i64..1_000_000_000),
        ) {
            let ends_at = end.map(|end| MADE + Duration::seconds(end));
            let before = Before { made_at: MADE, used, older_works, ends_at };
            let policy = Policy { max_ttl_s: max_ttl, ..Policy::default() };
            let longest = Duration::seconds(longest);
            if let Succession::HandOver { ends_at: older, .. } =
                (Grace { seconds, until_first_use }).succession(&before, longest, NOW)
            {
                prop_assert!(older <= NOW + longest);
                prop_assert!(ends_at.is_none_or(|end| older <= end));
            }
            let renewed = renewed_end(ExpiryChoice::Default, &before, &policy, NOW).unwrap();
            if let Some(longest) = max_ttl {
                prop_assert!(renewed.is_some_and(|end| end <= NOW + Duration::seconds(longest)));
            }
            prop_assert!(renewed.is_none_or(|end| end > NOW && end.year() <= 9_999));
        }
    }
}
