//! Policy: the rules that an instance or a workspace sets for its tokens.
//!
//! A workspace's policy may only be stricter than its instance's; [`Policy::narrowed_by`] is the
//! one place that says what stricter means.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::token_text::DEFAULT_PREFIX;

/// Seconds of a day.
pub const DAY_S: i64 = 86_400;

/// Whether a token's secret can be shown again. The order is from strict to loose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reveal {
    /// Never: it is shown once, when it is made.
    #[default]
    Once,
    /// Tokens may be made whose secret is kept sealed.
    RecoverableAllowed,
}

/// A text that names no such rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be once or recoverable_allowed")]
pub struct UnknownReveal;

impl Reveal {
    /// The rule's name in the API and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::RecoverableAllowed => "recoverable_allowed",
        }
    }
}

impl std::str::FromStr for Reveal {
    type Err = UnknownReveal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Once, Self::RecoverableAllowed];
        known.into_iter().find(|reveal| reveal.as_str() == text).ok_or(UnknownReveal)
    }
}

/// The rules in force. `None` is "no rule".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Most tokens at a time, deleted ones not counted.
    pub max_tokens: Option<i64>,
    /// Lifetime of a token whose maker names no expiry, in seconds; `None` is never expiring.
    pub default_ttl_s: Option<i64>,
    /// Longest lifetime, in seconds.
    pub max_ttl_s: Option<i64>,
    /// Whether a token may never expire.
    pub allow_never: bool,
    /// The prefix of new tokens.
    pub prefix: String,
    /// Whether no two tokens of the workspace may share a name.
    pub unique_names: bool,
    /// Whether tokens may be made whose secret can be shown again.
    pub reveal: Reveal,
}

/// What one level sets; `None` leaves a rule to the level above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRules {
    /// See [`Policy::max_tokens`].
    pub max_tokens: Option<i64>,
    /// See [`Policy::default_ttl_s`].
    pub default_ttl_s: Option<i64>,
    /// See [`Policy::max_ttl_s`].
    pub max_ttl_s: Option<i64>,
    /// See [`Policy::allow_never`].
    pub allow_never: Option<bool>,
    /// See [`Policy::prefix`].
    pub prefix: Option<String>,
    /// See [`Policy::unique_names`].
    pub unique_names: Option<bool>,
    /// See [`Policy::reveal`].
    pub reveal: Option<Reveal>,
}

impl Default for Policy {
    /// The preset *Standard*.
    fn default() -> Self {
        Self {
            max_tokens: None,
            default_ttl_s: Some(90 * DAY_S),
            max_ttl_s: None,
            allow_never: true,
            prefix: DEFAULT_PREFIX.to_owned(),
            unique_names: false,
            reveal: Reveal::Once,
        }
    }
}

impl Policy {
    /// The instance's policy: the Standard preset with what the instance sets in its place.
    pub fn default_with(rules: &PolicyRules) -> Self {
        let standard = Self::default();
        let max_ttl_s = rules.max_ttl_s;
        let default_ttl_s = rules.default_ttl_s.or(standard.default_ttl_s);
        Self {
            max_tokens: rules.max_tokens,
            default_ttl_s: match (default_ttl_s, max_ttl_s) {
                (Some(default), Some(longest)) => Some(default.min(longest)),
                (default, _) => default,
            },
            max_ttl_s,
            allow_never: rules.allow_never.unwrap_or(standard.allow_never),
            prefix: rules.prefix.clone().unwrap_or(standard.prefix),
            unique_names: rules.unique_names.unwrap_or(standard.unique_names),
            reveal: rules.reveal.unwrap_or(standard.reveal),
        }
    }

    /// This policy with the rules of a level below. Caps and lifetimes take the smaller value,
    /// permissions the refusing one; the prefix and the default lifetime are free choices, the
    /// latter within the longest one.
    #[must_use]
    pub fn narrowed_by(&self, rules: &PolicyRules) -> Self {
        let smaller = |above: Option<i64>, below: Option<i64>| match (above, below) {
            (Some(above), Some(below)) => Some(above.min(below)),
            (above, below) => above.or(below),
        };
        let max_ttl_s = smaller(self.max_ttl_s, rules.max_ttl_s);
        let allow_never = self.allow_never && rules.allow_never.unwrap_or(true);
        Self {
            max_tokens: smaller(self.max_tokens, rules.max_tokens),
            default_ttl_s: smaller(rules.default_ttl_s.or(self.default_ttl_s), max_ttl_s),
            max_ttl_s,
            allow_never,
            prefix: rules.prefix.clone().unwrap_or_else(|| self.prefix.clone()),
            unique_names: self.unique_names || rules.unique_names.unwrap_or(false),
            reveal: rules.reveal.unwrap_or(self.reveal).min(self.reveal),
        }
    }

    /// Whether a token may be made without an end.
    pub fn permits_never(&self) -> bool {
        self.allow_never && self.max_ttl_s.is_none()
    }

    /// The end of a token made at `now` whose maker names none.
    pub fn default_expiry(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        // Where never is refused and nothing else is said: the Standard lifetime.
        let fallback = (!self.allow_never).then_some(90 * DAY_S);
        let seconds = self.default_ttl_s.or(self.max_ttl_s).or(fallback)?;
        now.checked_add(Duration::seconds(seconds))
    }

    /// The last moment at which a token made at `now` may end; `None` when there is no limit.
    pub fn latest_expiry(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        now.checked_add(Duration::seconds(self.max_ttl_s?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn workspace_cannot_loosen_its_instance() {
        let instance = Policy {
            max_tokens: Some(200),
            max_ttl_s: Some(270 * DAY_S),
            allow_never: false,
            unique_names: true,
            ..Policy::default()
        };
        let loose = PolicyRules {
            max_tokens: Some(1_000),
            default_ttl_s: Some(1_000 * DAY_S),
            max_ttl_s: Some(365 * DAY_S),
            allow_never: Some(true),
            prefix: Some("acme".into()),
            unique_names: Some(false),
            reveal: Some(Reveal::RecoverableAllowed),
        };
        let effective = instance.narrowed_by(&loose);
        assert_eq!(effective.max_tokens, Some(200));
        assert_eq!(effective.default_ttl_s, Some(270 * DAY_S));
        assert!(!effective.permits_never());
        assert!(effective.unique_names);
        assert_eq!(effective.prefix, "acme");
        assert_eq!(effective.reveal, Reveal::Once);
    }

    proptest! {
        #[test]
        fn narrowing_is_never_looser(
            above in (proptest::option::of(1i64..500), proptest::option::of(1i64..500), any::<bool>()),
            below in (
                proptest::option::of(1i64..500),
                proptest::option::of(1i64..500),
                proptest::option::of(any::<bool>()),
            ),
        ) {
            let policy = Policy {
                max_tokens: above.0, max_ttl_s: above.1, allow_never: above.2, ..Policy::default()
            };
            let rules = PolicyRules {
                max_tokens: below.0, max_ttl_s: below.1, allow_never: below.2, ..PolicyRules::default()
            };
            let narrowed = policy.narrowed_by(&rules);
            if let Some(cap) = policy.max_tokens {
                prop_assert!(narrowed.max_tokens.is_some_and(|below| below <= cap));
            }
            if let Some(longest) = policy.max_ttl_s {
                prop_assert!(narrowed.max_ttl_s.is_some_and(|below| below <= longest));
            }
            prop_assert!(policy.permits_never() || !narrowed.permits_never());
        }
    }
}
