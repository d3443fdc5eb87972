//! The bounds of a token: its expiry, its addresses and its rate limit. A token that another token
//! creates stays within the bounds of its creator.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{ids::TokenId, problem::FieldError, rate_limit::RateLimit};

/// How long, from where and how often a token may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// When the token expires; `None` means never.
    pub expires_at: Option<OffsetDateTime>,
    /// The addresses that the token may be used from; empty means any.
    pub ip_allow: Vec<IpNet>,
    /// The rate limit; `None` means no limit.
    pub rate_limit: Option<RateLimit>,
}

impl Bounds {
    /// Returns whether these bounds are not wider than the others.
    pub fn is_within(&self, others: &Self) -> bool {
        self.beyond(others).is_empty()
    }

    /// Returns an error for each field that is wider than the other bounds allow.
    pub fn beyond(&self, others: &Self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if ends_later(self.expires_at, others.expires_at) {
            let message = "must not be later than the expiry of the calling token";
            errors.push(FieldError::new("expires_at", message));
        }
        if !addresses_within(&self.ip_allow, &others.ip_allow) {
            let message = "must be within the addresses of the calling token";
            errors.push(FieldError::new("ip_allow", message));
        }
        if !rate_within(self.rate_limit, others.rate_limit) {
            let message = "must not be higher than the rate limit of the calling token";
            errors.push(FieldError::new("rate_limit", message));
        }
        errors
    }

    /// Returns an error for each reason why a token with the other bounds must not obtain the
    /// secret of a token with these bounds: it could use the secret from elsewhere, or more often
    /// than it may act itself. The expiry does not matter.
    pub fn beyond_of_secret(&self, others: &Self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !addresses_within(&self.ip_allow, &others.ip_allow) {
            let message =
                "must be within the addresses of the calling token, which would receive the secret";
            errors.push(FieldError::new("ip_allow", message));
        }
        if !rate_within(self.rate_limit, others.rate_limit) {
            let message = "must not be higher than the rate limit of the calling token, which would receive the secret";
            errors.push(FieldError::new("rate_limit", message));
        }
        errors
    }
}

/// The bounds that an administrator set on another user's token. The token's owner cannot exceed
/// them. They do not include the expiry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedBounds {
    /// The addresses; empty means not set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_allow: Vec<IpNet>,
    /// The rate limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// The start of validity.
    #[serde(default, with = "crate::moments::option", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<OffsetDateTime>,
    /// The token that set all of these bounds, if that token was itself created by another token;
    /// otherwise `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_token: Option<TokenId>,
}

impl FixedBounds {
    /// Returns whether no bound is set.
    pub fn is_empty(&self) -> bool {
        self.ip_allow.is_empty() && self.rate_limit.is_none() && self.not_before.is_none()
    }

    /// Returns whether these addresses are within those that were set.
    pub fn allow_addresses(&self, addresses: &[IpNet]) -> bool {
        addresses_within(addresses, &self.ip_allow)
    }

    /// Returns whether this rate limit is within the one that was set.
    pub fn allow_rate(&self, rate: Option<RateLimit>) -> bool {
        rate_within(rate, self.rate_limit)
    }

    /// Returns whether a token may start to be valid at `start`. A start that has already passed
    /// does not restrict anything.
    pub fn allow_beginning(&self, start: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
        self.not_before.is_none_or(|set| set <= now || start.is_some_and(|start| start >= set))
    }
}

/// Returns whether one expiry is later than the other. `None` means never and is the latest.
pub fn ends_later(one: Option<OffsetDateTime>, other: Option<OffsetDateTime>) -> bool {
    match (one, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}

/// Returns the earlier of two expiries.
pub fn earlier(
    one: Option<OffsetDateTime>,
    other: Option<OffsetDateTime>,
) -> Option<OffsetDateTime> {
    if ends_later(one, other) { other } else { one }
}

fn addresses_within(own: &[IpNet], others: &[IpNet]) -> bool {
    if others.is_empty() {
        return true;
    }
    // Two adjacent networks together may contain a network that neither contains by itself.
    let others = IpNet::aggregate(&others.to_vec());
    !own.is_empty() && own.iter().all(|own| others.iter().any(|other| other.contains(own)))
}

/// Compares both the burst and the sustained rate.
fn rate_within(own: Option<RateLimit>, other: Option<RateLimit>) -> bool {
    match (own, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(own), Some(other)) => {
            own.limit() <= other.limit()
                && u64::from(own.limit()) * u64::from(other.window_s())
                    <= u64::from(other.limit()) * u64::from(own.window_s())
        }
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

    fn bounds(days: Option<i64>, ranges: &[&str], rate: Option<(i64, i64)>) -> Bounds {
        Bounds {
            expires_at: days.map(|days| NOW + Duration::days(days)),
            ip_allow: ranges.iter().map(|range| range.parse().unwrap()).collect(),
            rate_limit: rate.map(|(limit, window)| RateLimit::new(limit, window).unwrap()),
        }
    }

    fn beyond(own: &Bounds, others: &Bounds) -> Vec<String> {
        own.beyond(others).into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn every_wider_bound_is_reported_and_no_bound_is_the_widest() {
        let narrow = bounds(Some(1), &["10.0.0.0/8"], Some((5, 3_600)));
        let free = Bounds::default();
        assert_eq!(beyond(&free, &narrow), ["expires_at", "ip_allow", "rate_limit"]);
        assert!(narrow.is_within(&free) && narrow.is_within(&narrow) && free.is_within(&free));
        let of_secret = |own: &Bounds| {
            let errors = own.beyond_of_secret(&narrow);
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(of_secret(&free), ["ip_allow", "rate_limit"], "the expiry does not matter");
        assert_eq!(of_secret(&Bounds { expires_at: None, ..narrow.clone() }), [""; 0]);
    }

    #[test]
    fn addresses_are_within_a_union_of_ranges() {
        let halves = bounds(None, &["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32"], None);
        for (range, within) in [
            ("10.0.0.0/8", true),
            ("10.1.2.3/32", true),
            ("2001:db8:1::/48", true),
            ("11.0.0.0/8", false),
            ("0.0.0.0/0", false),
            ("::/0", false),
        ] {
            assert_eq!(bounds(None, &[range], None).is_within(&halves), within, "{range}");
        }
    }

    #[test]
    fn rate_limits_are_compared_by_burst_and_sustained_rate() {
        let other = bounds(None, &[], Some((60, 60)));
        for (rate, within) in [
            ((60, 60), true),
            ((30, 30), true),
            ((1, 1), true),
            ((61, 61), false),
            ((60, 59), false),
            ((2, 1), false),
            ((60, 3_600), true),
        ] {
            assert_eq!(bounds(None, &[], Some(rate)).is_within(&other), within, "{rate:?}");
        }
    }
}
