//! The lifetimes that the form for a new token offers: pure functions.

use domain::{
    expiry::{CHOICES_DAYS, ExpiryChoice},
    policy::{DAY_S, Policy},
};
use time::{Date, Duration, OffsetDateTime};

/// One lifetime to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The value that the form submits.
    pub value: String,
    /// The label.
    pub label: String,
    /// The expiry of a token created now; `None` for no expiry and for the option with a
    /// date field.
    pub end: Option<OffsetDateTime>,
}

/// The value of the option with a date field.
pub const DATE: &str = "date";
/// The value of the option without expiry.
pub const NEVER: &str = "never";

/// Returns the lifetimes that the policy allows for a token created at `now`, shortest first,
/// followed by a date and by no expiry.
pub fn offers(policy: &Policy, now: OffsetDateTime) -> Vec<Offer> {
    let preset = default_days(policy, now);
    let mut days: Vec<i64> = CHOICES_DAYS.into_iter().chain(preset).collect();
    days.sort_unstable();
    days.dedup();
    let mut offers: Vec<Offer> = days
        .into_iter()
        .filter_map(|days| {
            let end = ExpiryChoice::In(days * DAY_S).resolve(policy, now).ok()?;
            Some(Offer { value: format!("{days}d"), label: day_count(days), end })
        })
        .collect();
    if let Some(end) = policy.default_expiry(now).filter(|_| preset.is_none()) {
        // A default that is not a whole number of days cannot be labelled in days.
        let label = "Workspace default".to_owned();
        offers.insert(0, Offer { value: "default".to_owned(), label, end: Some(end) });
    }
    offers.push(Offer { value: DATE.to_owned(), label: "Custom date".to_owned(), end: None });
    if policy.permits_never() {
        offers.push(Offer { value: NEVER.to_owned(), label: "Never".to_owned(), end: None });
    }
    offers
}

/// Returns the value of the option that the policy preselects.
pub fn preselected(policy: &Policy, now: OffsetDateTime) -> String {
    match (policy.default_expiry(now), default_days(policy, now)) {
        (None, _) => NEVER.to_owned(),
        (Some(_), Some(days)) => format!("{days}d"),
        (Some(_), None) => "default".to_owned(),
    }
}

/// Returns the first and the last day that the date field accepts: tomorrow, and the last whole day
/// that the policy allows.
pub fn date_bounds(policy: &Policy, now: OffsetDateTime) -> (Option<Date>, Option<Date>) {
    let last = policy.latest_expiry(now).and_then(|latest| {
        // A date means the end of that day, which must not be later than the latest allowed moment.
        let day_is_whole = latest.time() >= time::macros::time!(23:59:59);
        if day_is_whole { Some(latest.date()) } else { latest.date().previous_day() }
    });
    (now.date().next_day(), last)
}

/// Returns the moment at which a token expires if `date` is typed into the date field.
pub fn end_of_date(date: &str) -> Option<OffsetDateTime> {
    match domain::expiry::parse(date) {
        Ok(ExpiryChoice::At(end)) => Some(end),
        _ => None,
    }
}

fn default_days(policy: &Policy, now: OffsetDateTime) -> Option<i64> {
    let lifetime = policy.default_expiry(now)? - now;
    (lifetime == Duration::days(lifetime.whole_days())).then(|| lifetime.whole_days())
}

fn day_count(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 10:00 UTC);

    fn values(policy: &Policy) -> Vec<String> {
        offers(policy, NOW).into_iter().map(|offer| offer.value).collect()
    }

    #[test]
    fn standard_policy_offers_everything_and_preselects_90_days() {
        let policy = Policy::default();
        assert_eq!(
            values(&policy),
            ["7d", "30d", "60d", "90d", "180d", "270d", "365d", "date", "never"]
        );
        assert_eq!(preselected(&policy, NOW), "90d");
        assert_eq!(offers(&policy, NOW)[0].end, Some(datetime!(2026-01-09 10:00 UTC)));
    }

    #[test]
    fn longest_lifetime_removes_longer_offers_and_never() {
        let policy = Policy {
            max_ttl_s: Some(45 * DAY_S),
            default_ttl_s: Some(45 * DAY_S),
            ..Policy::default()
        };
        assert_eq!(values(&policy), ["7d", "30d", "45d", "date"]);
        assert_eq!(preselected(&policy, NOW), "45d");
        assert_eq!(
            date_bounds(&policy, NOW),
            (Some(date!(2026 - 01 - 03)), Some(date!(2026 - 02 - 15)))
        );
    }

    #[test]
    fn default_in_hours_is_a_separate_offer() {
        let policy = Policy { default_ttl_s: Some(3_600), ..Policy::default() };
        assert_eq!(preselected(&policy, NOW), "default");
        assert_eq!(offers(&policy, NOW)[0].end, Some(datetime!(2026-01-02 11:00 UTC)));
    }

    #[test]
    fn policy_without_default_preselects_never() {
        let policy = Policy { default_ttl_s: None, ..Policy::default() };
        assert_eq!(preselected(&policy, NOW), "never");
    }

    #[test]
    fn preselected_offer_is_always_listed() {
        for default_ttl_s in [None, Some(1), Some(DAY_S), Some(90 * DAY_S)] {
            for max_ttl_s in [None, Some(2 * DAY_S), Some(100 * DAY_S + 5)] {
                for allow_never in [true, false] {
                    let policy =
                        Policy { default_ttl_s, max_ttl_s, allow_never, ..Policy::default() };
                    let policy = policy.narrowed_by(&domain::policy::PolicyRules::default());
                    let preselected = preselected(&policy, NOW);
                    assert!(values(&policy).contains(&preselected), "{policy:?}: {preselected}");
                }
            }
        }
    }

    #[test]
    fn date_expires_at_the_end_of_its_day() {
        assert_eq!(end_of_date("2027-08-18"), Some(datetime!(2027-08-18 23:59:59 UTC)));
        assert_eq!(end_of_date("soon"), None);
        assert_eq!(end_of_date(""), None);
    }
}
