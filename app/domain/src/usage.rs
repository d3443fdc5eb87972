//! How often a token was presented, hour by hour.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ids::TokenId;

/// The number of hours that are returned by default.
pub const HOURS_DEFAULT: u16 = 24;
/// The maximum number of hours that are returned: 30 days.
pub const HOURS_MAX: u16 = 720;

/// A use that was allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// When the token was used, to within two minutes.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The caller's address.
    pub ip: Option<IpAddr>,
    /// The caller's user agent.
    pub agent: Option<String>,
}

/// A token's usage counts, one number for each hour, ready to be drawn as a chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// The token.
    pub token_id: TokenId,
    /// The beginning of the first hour.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// How often the token was accepted, the oldest hour first.
    pub allowed: Vec<i64>,
    /// How often the token was refused, the oldest hour first.
    pub refused: Vec<i64>,
    /// The token's last use; `None` if it was never used.
    pub last: Option<LastUse>,
}

impl TokenUsage {
    /// Creates counts of `hours` hours without any use.
    pub fn none(token_id: TokenId, from: OffsetDateTime, hours: u16) -> Self {
        let zeroes = vec![0; usize::from(hours)];
        Self { token_id, from, allowed: zeroes.clone(), refused: zeroes, last: None }
    }

    /// Adds to the counts of an hour. An hour outside the covered time is ignored.
    pub fn add(&mut self, hour: OffsetDateTime, allowed: i64, refused: i64) {
        let place = usize::try_from((hour - self.from).whole_hours());
        let Ok(place) = place else { return };
        if let (Some(first), Some(second)) =
            (self.allowed.get_mut(place), self.refused.get_mut(place))
        {
            *first += allowed;
            *second += refused;
        }
    }
}

/// Returns the beginning of the hour that contains this time, in UTC.
pub fn hour_of(moment: OffsetDateTime) -> OffsetDateTime {
    let seconds = moment.unix_timestamp();
    OffsetDateTime::from_unix_timestamp(seconds - seconds.rem_euclid(3_600)).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn counts_are_added_to_their_hour() {
        let from = datetime!(2026-01-02 10:00 UTC);
        let mut usage = TokenUsage::none(TokenId(Uuid::nil()), from, 3);
        usage.add(datetime!(2026-01-02 10:00 UTC), 1, 0);
        usage.add(datetime!(2026-01-02 12:00 UTC), 2, 3);
        usage.add(datetime!(2026-01-02 13:00 UTC), 9, 9);
        usage.add(datetime!(2026-01-02 08:00 UTC), 9, 9);
        assert_eq!((usage.allowed, usage.refused), (vec![1, 0, 2], vec![0, 0, 3]));
    }

    #[test]
    fn hour_begins_on_the_hour_in_utc() {
        let hour = datetime!(2026-01-02 12:00 UTC);
        assert_eq!(hour_of(datetime!(2026-01-02 12:59:59.9 UTC)), hour);
        assert_eq!(hour_of(datetime!(2026-01-02 14:30 +1:45)), hour);
        assert_eq!(hour_of(datetime!(1969-12-31 23:59 UTC)), datetime!(1969-12-31 23:00 UTC));
    }
}
