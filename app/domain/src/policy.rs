//! Policy: the rules that an instance or a workspace sets for its tokens.
//!
//! A workspace can only be stricter than its instance; only [`Policy::narrowed_by`] defines what
//! stricter means. A default is not a rule: if neither level sets a rule, the *Standard* preset
//! applies, and a workspace may choose differently.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::{preset::Preset, token_text::DEFAULT_PREFIX};

/// Seconds in a day.
pub const DAY_S: i64 = 86_400;

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every choice.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the choice's name in the API and the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownChoice;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|choice| choice.as_str() == text)
                    .ok_or_else(|| UnknownChoice(text.to_owned(), [$($text),+].join(" or ")))
            }
        }
    };
}

/// The error for a value that a rule does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be {1}, not {0:?}")]
pub struct UnknownChoice(pub String, pub String);

choice!(
    /// Whether a token's secret can be shown after its creation.
    Reveal {
        /// Secrets are shown once, at creation.
        #[default]
        Once = "once",
        /// Secrets of tokens that were created recoverable can be shown again.
        RecoverableAllowed = "recoverable_allowed",
    }
);

choice!(
    /// The action on a token when one of its replaced secrets is presented after its expiry.
    OnReuse {
        /// The reuse is recorded on the token.
        #[default]
        Record = "record",
        /// The reuse is recorded and the token is disabled.
        Disable = "disable",
    }
);

choice!(
    /// The action on the tokens that a token created, once the creating token is disabled,
    /// expired or deleted.
    OnParentEnd {
        /// They stay as they are, unless the caller asks to change them, too.
        #[default]
        Keep = "keep",
        /// They are disabled, expired or deleted, too.
        End = "end",
    }
);

/// The rules in force. `None` means that there is no such rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a separate rule")]
pub struct Policy {
    /// The maximum number of tokens at a time; deleted ones do not count.
    pub max_tokens: Option<i64>,
    /// The lifetime of a token that is created without an expiry, in seconds; `None` means that it
    /// never expires.
    pub default_ttl_s: Option<i64>,
    /// The maximum lifetime, in seconds.
    pub max_ttl_s: Option<i64>,
    /// Whether a token may never expire.
    pub allow_never: bool,
    /// Whether tokens may be created whose secret can be shown again.
    pub reveal: Reveal,
    /// The prefix of new tokens.
    pub prefix: String,
    /// Whether the names of the workspace's tokens must be unique.
    pub unique_names: bool,
    /// The regular expressions of the instance and the workspace. A token's whole name must match
    /// each of them.
    pub name_patterns: Vec<String>,
    /// Whether members manage tokens of their own.
    pub self_service: bool,
    /// The maximum time for which a replaced secret still works, in seconds.
    pub max_grace_s: Option<i64>,
    /// The action when a replaced secret is presented after its expiry.
    pub on_reuse: OnReuse,
    /// Whether a token may rotate itself.
    pub self_rotate: bool,
    /// The action on the tokens that a token created, once the creating token is disabled,
    /// expired or deleted.
    pub on_parent_end: OnParentEnd,
}

/// The rules that one level sets. `None` leaves a rule to the level above or to the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyRules {
    /// See [`Policy::max_tokens`]. The instance's limit counts the tokens of all workspaces.
    pub max_tokens: Option<i64>,
    /// See [`Policy::default_ttl_s`].
    pub default_ttl_s: Option<i64>,
    /// See [`Policy::max_ttl_s`].
    pub max_ttl_s: Option<i64>,
    /// See [`Policy::allow_never`].
    pub allow_never: Option<bool>,
    /// See [`Policy::reveal`].
    pub reveal: Option<Reveal>,
    /// See [`Policy::prefix`].
    pub prefix: Option<String>,
    /// See [`Policy::unique_names`].
    pub unique_names: Option<bool>,
    /// See [`Policy::name_patterns`].
    pub name_pattern: Option<String>,
    /// See [`Policy::self_service`].
    pub self_service: Option<bool>,
    /// See [`Policy::max_grace_s`].
    pub max_grace_s: Option<i64>,
    /// See [`Policy::on_reuse`].
    pub on_reuse: Option<OnReuse>,
    /// See [`Policy::self_rotate`].
    pub self_rotate: Option<bool>,
    /// See [`Policy::on_parent_end`].
    pub on_parent_end: Option<OnParentEnd>,
    /// The preset that these rules came from, for display. It is not a rule.
    pub preset: Option<Preset>,
}

impl Default for Policy {
    /// Returns the *Standard* preset.
    fn default() -> Self {
        Self {
            max_tokens: None,
            default_ttl_s: Some(90 * DAY_S),
            max_ttl_s: None,
            allow_never: true,
            reveal: Reveal::Once,
            prefix: DEFAULT_PREFIX.to_owned(),
            unique_names: false,
            name_patterns: Vec::new(),
            self_service: false,
            max_grace_s: None,
            on_reuse: OnReuse::Record,
            self_rotate: true,
            on_parent_end: OnParentEnd::Keep,
        }
    }
}

impl Policy {
    /// Returns the policy in force if an instance and a workspace set these rules. A
    /// workspace can only narrow a rule of its instance; rules that neither sets are those of
    /// the Standard preset.
    pub fn in_force(instance: &PolicyRules, workspace: &PolicyRules) -> Self {
        let standard = Self::default();
        // Starts from the widest policy, so that a workspace may widen a mere default.
        let open =
            Self { reveal: Reveal::RecoverableAllowed, self_service: true, ..standard.clone() };
        let mut policy = open.narrowed_by(instance).narrowed_by(workspace);
        if instance.reveal.or(workspace.reveal).is_none() {
            policy.reveal = standard.reveal;
        }
        if instance.self_service.or(workspace.self_service).is_none() {
            policy.self_service = standard.self_service;
        }
        policy
    }

    /// Returns the instance's own policy: the Standard preset, overridden by the rules that the
    /// instance sets.
    pub fn default_with(rules: &PolicyRules) -> Self {
        Self::in_force(rules, &PolicyRules::default())
    }

    /// Returns this policy narrowed by the rules of the level below. Limits, lifetimes and grace
    /// periods take the smaller value; permissions are refused if either level refuses them;
    /// reactions take the stricter value; names must match all patterns. The prefix is a free
    /// choice. So is the default lifetime, but the maximum lifetime caps it.
    #[must_use]
    pub fn narrowed_by(&self, rules: &PolicyRules) -> Self {
        let smaller = |above: Option<i64>, below: Option<i64>| match (above, below) {
            (Some(above), Some(below)) => Some(above.min(below)),
            (above, below) => above.or(below),
        };
        let max_ttl_s = smaller(self.max_ttl_s, rules.max_ttl_s);
        let mut name_patterns = self.name_patterns.clone();
        name_patterns.extend(
            rules.name_pattern.clone().filter(|pattern| !self.name_patterns.contains(pattern)),
        );
        Self {
            max_tokens: smaller(self.max_tokens, rules.max_tokens),
            default_ttl_s: smaller(rules.default_ttl_s.or(self.default_ttl_s), max_ttl_s),
            max_ttl_s,
            allow_never: self.allow_never && rules.allow_never.unwrap_or(true),
            // `Once` is the smaller value.
            reveal: rules.reveal.map_or(self.reveal, |below| below.min(self.reveal)),
            prefix: rules.prefix.clone().unwrap_or_else(|| self.prefix.clone()),
            unique_names: self.unique_names || rules.unique_names.unwrap_or(false),
            name_patterns,
            self_service: self.self_service && rules.self_service.unwrap_or(true),
            max_grace_s: smaller(self.max_grace_s, rules.max_grace_s),
            // `Disable` is the greater value.
            on_reuse: rules.on_reuse.map_or(self.on_reuse, |below| below.max(self.on_reuse)),
            self_rotate: self.self_rotate && rules.self_rotate.unwrap_or(true),
            // `End` is the greater value.
            on_parent_end: rules
                .on_parent_end
                .map_or(self.on_parent_end, |below| below.max(self.on_parent_end)),
        }
    }

    /// Returns whether a token may be created without an expiry.
    pub fn permits_never(&self) -> bool {
        self.allow_never && self.max_ttl_s.is_none()
    }

    /// Returns the expiry of a token that is created at `now` without one.
    pub fn default_expiry(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        // If tokens must expire and no lifetime is set, the Standard lifetime applies.
        let fallback = (!self.allow_never).then_some(90 * DAY_S);
        let seconds = self.default_ttl_s.or(self.max_ttl_s).or(fallback)?;
        now.checked_add(Duration::seconds(seconds))
    }

    /// Returns the latest expiry of a token that is created at `now`; `None` if there is no limit.
    pub fn latest_expiry(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        now.checked_add(Duration::seconds(self.max_ttl_s?))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::{option, prelude::*};

    use super::*;

    /// Generates rules of every kind, each set or left out.
    pub(crate) fn any_rules() -> impl Strategy<Value = PolicyRules> {
        let number = || option::of(1i64..500);
        let flag = || option::of(any::<bool>());
        (
            (number(), number(), number(), number()),
            (flag(), flag(), flag(), flag()),
            option::of(prop::sample::select(Reveal::ALL)),
            option::of(prop::sample::select(OnReuse::ALL)),
            option::of(prop::sample::select(OnParentEnd::ALL)),
            option::of("[a-c]{1,2}"),
            option::of("[a-c]{1,2}"),
        )
            .prop_map(
                |(numbers, flags, reveal, on_reuse, on_parent_end, prefix, name_pattern)| {
                    PolicyRules {
                        max_tokens: numbers.0,
                        default_ttl_s: numbers.1,
                        max_ttl_s: numbers.2,
                        max_grace_s: numbers.3,
                        allow_never: flags.0,
                        unique_names: flags.1,
                        self_service: flags.2,
                        reveal,
                        on_reuse,
                        self_rotate: flags.3,
                        on_parent_end,
                        prefix,
                        name_pattern,
                        preset: None,
                    }
                },
            )
    }

    /// Whether a limit is kept: if there is one above, there is one below that is not larger.
    fn within(above: Option<i64>, below: Option<i64>) -> bool {
        above.is_none_or(|above| below.is_some_and(|below| below <= above))
    }

    #[test]
    fn workspace_cannot_loosen_its_instance() {
        let instance = PolicyRules {
            max_tokens: Some(200),
            max_ttl_s: Some(270 * DAY_S),
            allow_never: Some(false),
            unique_names: Some(true),
            self_service: Some(false),
            reveal: Some(Reveal::Once),
            on_reuse: Some(OnReuse::Disable),
            self_rotate: Some(false),
            on_parent_end: Some(OnParentEnd::End),
            max_grace_s: Some(60),
            name_pattern: Some("a.*".into()),
            ..PolicyRules::default()
        };
        let loose = PolicyRules {
            max_tokens: Some(1_000),
            default_ttl_s: Some(1_000 * DAY_S),
            max_ttl_s: Some(365 * DAY_S),
            allow_never: Some(true),
            prefix: Some("acme".into()),
            unique_names: Some(false),
            self_service: Some(true),
            reveal: Some(Reveal::RecoverableAllowed),
            on_reuse: Some(OnReuse::Record),
            self_rotate: Some(true),
            on_parent_end: Some(OnParentEnd::Keep),
            max_grace_s: Some(3_600),
            name_pattern: Some(".*b".into()),
            preset: None,
        };
        let effective = Policy::in_force(&instance, &loose);
        assert_eq!(
            effective,
            Policy {
                max_tokens: Some(200),
                default_ttl_s: Some(270 * DAY_S),
                max_ttl_s: Some(270 * DAY_S),
                allow_never: false,
                reveal: Reveal::Once,
                prefix: "acme".into(),
                unique_names: true,
                name_patterns: vec!["a.*".into(), ".*b".into()],
                self_service: false,
                max_grace_s: Some(60),
                on_reuse: OnReuse::Disable,
                self_rotate: false,
                on_parent_end: OnParentEnd::End,
            }
        );
    }

    #[test]
    fn unset_rules_fall_back_to_the_default_policy() {
        let none = PolicyRules::default();
        assert_eq!(Policy::in_force(&none, &none), Policy::default());
        let open = PolicyRules {
            self_service: Some(true),
            reveal: Some(Reveal::RecoverableAllowed),
            ..PolicyRules::default()
        };
        for policy in [Policy::in_force(&none, &open), Policy::in_force(&open, &none)] {
            assert!(policy.self_service);
            assert_eq!(policy.reveal, Reveal::RecoverableAllowed);
        }
    }

    #[test]
    fn choices_survive_a_round_trip_through_their_names() {
        for reveal in Reveal::ALL {
            assert_eq!(reveal.as_str().parse(), Ok(*reveal));
        }
        assert_eq!(
            "never".parse::<OnReuse>().unwrap_err().to_string(),
            "must be record or disable, not \"never\""
        );
    }

    proptest! {
        #[test]
        fn narrowing_is_never_looser(above in any_rules(), below in any_rules()) {
            let policy = Policy::in_force(&above, &PolicyRules::default());
            for narrowed in [policy.narrowed_by(&below), Policy::in_force(&above, &below)] {
                prop_assert!(within(policy.max_tokens, narrowed.max_tokens));
                prop_assert!(within(policy.max_ttl_s, narrowed.max_ttl_s));
                prop_assert!(within(policy.max_grace_s, narrowed.max_grace_s));
                prop_assert!(within(narrowed.max_ttl_s, narrowed.default_ttl_s));
                prop_assert!(policy.allow_never || !narrowed.allow_never);
                prop_assert!(policy.permits_never() || !narrowed.permits_never());
                prop_assert!(narrowed.unique_names || !policy.unique_names);
                prop_assert!(narrowed.on_reuse >= policy.on_reuse);
                prop_assert!(narrowed.on_parent_end >= policy.on_parent_end);
                prop_assert!(policy.self_rotate || !narrowed.self_rotate);
                prop_assert!(
                    policy.name_patterns.iter().all(|pattern| narrowed.name_patterns.contains(pattern))
                );
                // These two hold only for rules that the instance sets, not for defaults.
                if above.self_service.is_some() {
                    prop_assert!(policy.self_service || !narrowed.self_service);
                }
                if above.reveal.is_some() {
                    prop_assert!(narrowed.reveal <= policy.reveal);
                }
            }
        }

        #[test]
        fn workspace_keeps_every_rule_of_its_own(above in any_rules(), below in any_rules()) {
            let policy = Policy::in_force(&above, &below);
            prop_assert!(within(below.max_tokens, policy.max_tokens));
            prop_assert!(within(below.max_ttl_s, policy.max_ttl_s));
            prop_assert!(within(below.max_grace_s, policy.max_grace_s));
            prop_assert!(below.allow_never != Some(false) || !policy.allow_never);
            prop_assert!(below.unique_names != Some(true) || policy.unique_names);
            prop_assert!(below.self_service != Some(false) || !policy.self_service);
            prop_assert!(below.reveal != Some(Reveal::Once) || policy.reveal == Reveal::Once);
            prop_assert!(below.on_reuse != Some(OnReuse::Disable) || policy.on_reuse == OnReuse::Disable);
            prop_assert!(below.name_pattern.iter().all(|pattern| policy.name_patterns.contains(pattern)));
        }
    }
}
