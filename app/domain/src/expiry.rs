//! The expiry of a new token: the choices of a form, and their meaning.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::{
    Date, Duration, OffsetDateTime, format_description::well_known::Rfc3339,
    macros::format_description,
};

use crate::{
    moments,
    policy::{DAY_S, Policy},
};

/// The lifetimes that the console offers, in days.
pub const CHOICES_DAYS: [i64; 7] = [7, 30, 60, 90, 180, 270, 365];

/// The expiry that the creator of a token chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpiryChoice {
    /// The default of the policy.
    #[default]
    Default,
    /// No expiry.
    Never,
    /// This many seconds from now.
    In(i64),
    /// At this time.
    At(OffsetDateTime),
    /// At this time, which may have passed: the caller may want a token that has expired.
    /// [`parse`] never returns this choice; a surface that accepts it constructs it itself.
    Exactly(OffsetDateTime),
}

/// The reason why an expiry is not possible.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpiryError {
    /// The expiry lies in the past.
    #[error("must be in the future")]
    Past,
    /// The policy requires an expiry.
    #[error("must be set: tokens of this workspace must expire")]
    NeverRefused,
    /// The expiry is later than the policy allows.
    #[error(
        "must not be later than {latest}: tokens of this workspace expire after at most {days} days"
    )]
    TooLate {
        /// The latest expiry that is allowed, in RFC 3339 form.
        latest: String,
        /// The maximum lifetime, in whole days.
        days: i64,
    },
    /// The time is outside the calendar.
    #[error("is out of range")]
    OutOfRange,
    /// The text has none of the forms that [`parse`] accepts.
    #[error("must be a number of days such as 30d, a date such as 2027-08-18, or never")]
    Form,
}

impl ExpiryChoice {
    /// Returns the expiry that this choice gives a token that is created at `now` under `policy`.
    pub fn resolve(
        self,
        policy: &Policy,
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, ExpiryError> {
        self.resolve_since(policy, now, now)
    }

    /// Returns the expiry that this choice gives at `now` to a token whose secret was created at
    /// `made_at`. The policy counts the lifetime of a secret from its creation, however often the
    /// expiry is changed.
    pub fn resolve_since(
        self,
        policy: &Policy,
        now: OffsetDateTime,
        made_at: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, ExpiryError> {
        let latest = policy.latest_expiry(made_at);
        let end = match self {
            Self::Default => match (policy.default_expiry(now), latest) {
                (Some(end), Some(latest)) => end.min(latest),
                (Some(end), None) => end,
                (None, _) => return Ok(None),
            },
            Self::Never if policy.permits_never() => return Ok(None),
            Self::Never => return Err(ExpiryError::NeverRefused),
            Self::Exactly(end) if end <= now => return in_calendar(end).map(Some),
            Self::In(_) | Self::At(_) | Self::Exactly(_) => self.moment(now)?,
        };
        match latest {
            Some(latest) if end > latest => Err(ExpiryError::TooLate {
                latest: latest.format(&Rfc3339).unwrap_or_default(),
                days: policy.max_ttl_s.unwrap_or_default() / DAY_S,
            }),
            _ if end <= now => Err(ExpiryError::Past),
            _ => Ok(Some(end)),
        }
    }

    /// Returns the expiry that was explicitly chosen, regardless of the policy.
    pub(crate) fn moment(self, now: OffsetDateTime) -> Result<OffsetDateTime, ExpiryError> {
        let end = match self {
            Self::In(seconds) => now.checked_add(Duration::seconds(seconds)),
            Self::At(moment) | Self::Exactly(moment) => Some(moment),
            Self::Default | Self::Never => None,
        };
        let end = end.ok_or(ExpiryError::OutOfRange)?;
        if end <= now { Err(ExpiryError::Past) } else { in_calendar(end) }
    }
}

fn in_calendar(moment: OffsetDateTime) -> Result<OffsetDateTime, ExpiryError> {
    moments::in_calendar(moment).ok_or(ExpiryError::OutOfRange)
}

/// Parses text that a person types or a form sends: `default` or an empty text, `never`, `30d`,
/// `12h`, `2027-08-18` (the end of that day, UTC) or an RFC 3339 time.
pub fn parse(text: &str) -> Result<ExpiryChoice, ExpiryError> {
    let text = text.trim();
    match text {
        "" | "default" => return Ok(ExpiryChoice::Default),
        "never" => return Ok(ExpiryChoice::Never),
        _ => {}
    }
    if let Some((count, unit)) = text
        .strip_suffix('d')
        .map(|count| (count, DAY_S))
        .or_else(|| text.strip_suffix('h').map(|count| (count, 3_600)))
    {
        let count: i64 = count.parse().map_err(|_| ExpiryError::Form)?;
        let seconds = count.checked_mul(unit).ok_or(ExpiryError::OutOfRange)?;
        return if seconds > 0 { Ok(ExpiryChoice::In(seconds)) } else { Err(ExpiryError::Past) };
    }
    if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        let next = date.next_day().ok_or(ExpiryError::OutOfRange)?;
        return Ok(ExpiryChoice::At(next.midnight().assume_utc() - Duration::seconds(1)));
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| ExpiryError::Form)?
        .checked_to_offset(time::UtcOffset::UTC)
        .map(ExpiryChoice::At)
        .ok_or(ExpiryError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

    #[test]
    fn expiry_texts_are_parsed() {
        assert_eq!(parse(""), Ok(ExpiryChoice::Default));
        assert_eq!(parse("never"), Ok(ExpiryChoice::Never));
        assert_eq!(parse("30d"), Ok(ExpiryChoice::In(30 * DAY_S)));
        assert_eq!(parse("2027-08-18"), Ok(ExpiryChoice::At(datetime!(2027-08-18 23:59:59 UTC))));
        assert_eq!(
            parse("2027-08-18T12:00:00+02:00"),
            Ok(ExpiryChoice::At(datetime!(2027-08-18 10:00:00 UTC)))
        );
        for bad in ["soon", "d", "-", "2027-13-01", "1.5d", "9999999999999999d"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("0d"), Err(ExpiryError::Past));
        assert_eq!(parse("9999-12-31T23:59:59-01:00"), Err(ExpiryError::OutOfRange));
    }

    #[test]
    fn past_expiry_is_refused() {
        let choice = ExpiryChoice::At(NOW);
        assert_eq!(choice.resolve(&Policy::default(), NOW), Err(ExpiryError::Past));
    }

    #[test]
    fn expiry_beyond_policy_names_the_latest_possible_time() {
        let policy = Policy { max_ttl_s: Some(270 * DAY_S), ..Policy::default() };
        let error = ExpiryChoice::In(271 * DAY_S).resolve(&policy, NOW).unwrap_err();
        assert_eq!(
            error.to_string(),
            "must not be later than 2026-09-29T00:00:00Z: tokens of this workspace expire after at most 270 days"
        );
        assert_eq!(ExpiryChoice::Never.resolve(&policy, NOW), Err(ExpiryError::NeverRefused));
        assert_eq!(
            ExpiryChoice::In(270 * DAY_S).resolve(&policy, NOW),
            Ok(Some(datetime!(2026-09-29 00:00 UTC)))
        );
    }

    #[test]
    fn past_expiry_is_accepted_only_as_an_exact_choice() {
        let policy =
            Policy { max_ttl_s: Some(270 * DAY_S), allow_never: false, ..Policy::default() };
        let past = datetime!(2024-09-13 13:54:06 UTC);
        assert_eq!(ExpiryChoice::At(past).resolve(&policy, NOW), Err(ExpiryError::Past));
        assert_eq!(ExpiryChoice::Exactly(past).resolve(&policy, NOW), Ok(Some(past)));
        assert_eq!(ExpiryChoice::Exactly(NOW).resolve(&policy, NOW), Ok(Some(NOW)));
        let late = ExpiryChoice::Exactly(NOW + Duration::days(271)).resolve(&policy, NOW);
        assert!(matches!(late, Err(ExpiryError::TooLate { .. })), "the policy still applies");
        let year_0 = ExpiryChoice::Exactly(datetime!(0000-01-01 00:00 UTC));
        assert_eq!(year_0.resolve(&policy, NOW), Err(ExpiryError::OutOfRange));
    }

    #[test]
    fn changed_expiry_is_limited_from_the_secrets_creation() {
        let policy = Policy { max_ttl_s: Some(30 * DAY_S), ..Policy::default() };
        let made_at = NOW - Duration::days(20);
        let resolve = |choice: ExpiryChoice| choice.resolve_since(&policy, NOW, made_at);
        assert_eq!(
            resolve(ExpiryChoice::In(10 * DAY_S)),
            Ok(Some(datetime!(2026-01-12 00:00 UTC)))
        );
        assert!(matches!(resolve(ExpiryChoice::In(11 * DAY_S)), Err(ExpiryError::TooLate { .. })));
        assert_eq!(resolve(ExpiryChoice::Default), Ok(Some(datetime!(2026-01-12 00:00 UTC))));
        assert_eq!(resolve(ExpiryChoice::Never), Err(ExpiryError::NeverRefused));
        let old = NOW - Duration::days(31);
        assert_eq!(ExpiryChoice::Default.resolve_since(&policy, NOW, old), Err(ExpiryError::Past));
    }

    proptest! {
        #[test]
        fn parsing_and_resolving_any_text_never_panics(text in any::<String>()) {
            if let Ok(choice) = parse(&text) {
                let _ = choice.resolve(&Policy::default(), NOW);
            }
        }

        #[test]
        fn resolved_expiry_obeys_policy(seconds in any::<i64>(), longest in 1i64..1_000_000_000) {
            let policy = Policy { max_ttl_s: Some(longest), ..Policy::default() };
            if let Ok(end) = ExpiryChoice::In(seconds).resolve(&policy, NOW) {
                let end = end.unwrap();
                prop_assert!(end > NOW && end <= NOW + Duration::seconds(longest));
            }
        }
    }
}
