//! How often a token may be used.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The maximum number of uses in a window.
pub const LIMIT_MAX: i64 = 1_000_000;
/// The maximum length of a window, in seconds: one day.
pub const WINDOW_S_MAX: i64 = 86_400;

/// A number of uses in a window of time. The uses may all happen at once; after that, one more is
/// allowed each time `window_s / limit` seconds have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Numbers")]
pub struct RateLimit {
    limit: u32,
    window_s: u32,
}

/// A rate limit that has not been checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    limit: i64,
    window_s: i64,
}

/// The reason why a limit is invalid, as the end of a sentence that begins with [`Self::field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RateLimitError {
    /// The number of uses is out of range.
    #[error("must be 1 to 1,000,000")]
    Limit,
    /// The window is out of range.
    #[error("must be 1 to 86,400 seconds")]
    Window,
    /// The text cannot be read by [`RateLimit::from_str`], or a number in it is out of range.
    #[error(
        "must be 1 to 1,000,000 uses per period of 1 second to 1 day, such as 600/60s, 600/1m or 5/1d"
    )]
    Form,
}

impl RateLimitError {
    /// Returns the invalid field of a record with a `rate_limit`.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Limit => "rate_limit.limit",
            Self::Window => "rate_limit.window_s",
            Self::Form => "rate_limit",
        }
    }
}

impl RateLimit {
    /// Creates a limit of 1 to [`LIMIT_MAX`] uses in 1 to [`WINDOW_S_MAX`] seconds.
    ///
    /// # Errors
    /// [`RateLimitError::Limit`] or [`RateLimitError::Window`].
    pub fn new(limit: i64, window_s: i64) -> Result<Self, RateLimitError> {
        let within = |number: i64, most: i64| {
            u32::try_from(number).ok().filter(|_| (1..=most).contains(&number))
        };
        Ok(Self {
            limit: within(limit, LIMIT_MAX).ok_or(RateLimitError::Limit)?,
            window_s: within(window_s, WINDOW_S_MAX).ok_or(RateLimitError::Window)?,
        })
    }

    /// Returns the number of uses in a window; never 0.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// Returns the length of the window in seconds; never 0.
    pub const fn window_s(self) -> u32 {
        self.window_s
    }
}

impl TryFrom<Numbers> for RateLimit {
    type Error = RateLimitError;

    fn try_from(numbers: Numbers) -> Result<Self, Self::Error> {
        Self::new(numbers.limit, numbers.window_s)
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitError;

    /// Parses `600/60s`; the unit is `s`, `m`, `h` or `d`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (limit, window) = text.trim().split_once('/').ok_or(RateLimitError::Form)?;
        let unit = window.chars().last().ok_or(RateLimitError::Form)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(RateLimitError::Form),
        };
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i64>().ok().filter(|_| digits).ok_or(RateLimitError::Form)
        };
        let window = number(&window[..window.len() - unit.len_utf8()])?.checked_mul(seconds);
        Self::new(number(limit)?, window.ok_or(RateLimitError::Form)?)
            .map_err(|_| RateLimitError::Form)
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}s", self.limit, self.window_s)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_parsed_with_its_unit() {
        for (text, limit, window_s) in [
            ("600/60s", 600, 60),
            (" 600/1m ", 600, 60),
            ("1/1h", 1, 3_600),
            ("1000000/1d", 1_000_000, 86_400),
        ] {
            assert_eq!(text.parse::<RateLimit>(), RateLimit::new(limit, window_s), "{text}");
        }
    }

    #[test]
    fn invalid_rate_limit_is_refused_with_the_reason() {
        for text in [
            "",
            "600",
            "600/60",
            "600/s",
            "/60s",
            "-1/60s",
            "+1/60s",
            "6.5/60s",
            "600/60é",
            "٣/60s",
            "0/60s",
            "1000001/60s",
            "99999999999999999999/60s",
            "1/0s",
            "1/86401s",
            "1/2d",
            "1/9223372036854775807d",
        ] {
            assert_eq!(text.parse::<RateLimit>(), Err(RateLimitError::Form), "{text}");
        }
        for (limit, window_s, error) in [
            (0, 60, RateLimitError::Limit),
            (-1, 60, RateLimitError::Limit),
            (1_000_001, 60, RateLimitError::Limit),
            (i64::MAX, 60, RateLimitError::Limit),
            (1, 0, RateLimitError::Window),
            (1, 86_401, RateLimitError::Window),
        ] {
            assert_eq!(RateLimit::new(limit, window_s), Err(error));
        }
        for json in [
            serde_json::json!({"limit": 0, "window_s": 1}),
            serde_json::json!({"limit": 1}),
            serde_json::json!({"limit": 1, "window_s": 1, "burst": 2}),
        ] {
            assert!(serde_json::from_value::<RateLimit>(json.clone()).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in any::<String>()) {
            let _ = text.parse::<RateLimit>();
        }

        #[test]
        fn every_limit_survives_a_round_trip(
            limit in 1..=LIMIT_MAX, window_s in 1..=WINDOW_S_MAX,
        ) {
            let rate = RateLimit::new(limit, window_s).unwrap();
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            let json = serde_json::to_value(rate).unwrap();
            prop_assert_eq!(serde_json::from_value::<RateLimit>(json).unwrap(), rate);
        }
    }
}
