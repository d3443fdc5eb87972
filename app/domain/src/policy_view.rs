//! A policy as it is shown: the rules that each level sets, the rules in force and the source of
//! each; and a preview of what a change would mean for existing tokens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    ids::TokenId,
    names::{AudienceSlug, Slug},
    policy::{Policy, PolicyRules, Reveal},
};

/// The maximum number of tokens that a preview lists.
pub const PREVIEW_TOKENS: usize = 50;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $policy:ident, $rule:ident;)+) => {
        /// One rule of a policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Rule { $($(#[$doc])* $variant),+ }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the rule's name in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Returns whether a level sets this rule.
            pub const fn is_set(self, rules: &PolicyRules) -> bool {
                match self { $(Self::$variant => rules.$rule.is_some()),+ }
            }

            /// Returns whether this rule is the same in both policies.
            pub fn is_same(self, one: &Policy, other: &Policy) -> bool {
                match self { $(Self::$variant => one.$policy == other.$policy),+ }
            }
        }
    };
}

rules! {
    /// See [`Policy::max_tokens`].
    MaxTokens = "max_tokens", max_tokens, max_tokens;
    /// See [`Policy::default_ttl_s`].
    DefaultTtlS = "default_ttl_s", default_ttl_s, default_ttl_s;
    /// See [`Policy::max_ttl_s`].
    MaxTtlS = "max_ttl_s", max_ttl_s, max_ttl_s;
    /// See [`Policy::allow_never`].
    AllowNever = "allow_never", allow_never, allow_never;
    /// See [`Policy::reveal`].
    Reveal = "reveal", reveal, reveal;
    /// See [`Policy::prefix`].
    Prefix = "prefix", prefix, prefix;
    /// See [`Policy::unique_names`].
    UniqueNames = "unique_names", unique_names, unique_names;
    /// See [`Policy::name_patterns`].
    NamePattern = "name_pattern", name_patterns, name_pattern;
    /// See [`Policy::self_service`].
    SelfService = "self_service", self_service, self_service;
    /// See [`Policy::max_grace_s`].
    MaxGraceS = "max_grace_s", max_grace_s, max_grace_s;
    /// See [`Policy::on_reuse`].
    OnReuse = "on_reuse", on_reuse, on_reuse;
    /// See [`Policy::self_rotate`].
    SelfRotate = "self_rotate", self_rotate, self_rotate;
    /// See [`Policy::on_parent_end`].
    OnParentEnd = "on_parent_end", on_parent_end, on_parent_end;
}

/// The level that a rule in force comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// No level sets it: the Standard preset applies.
    Default,
    /// The instance.
    Instance,
    /// The workspace.
    Workspace,
}

impl Source {
    /// Returns the source's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Instance => "instance",
            Self::Workspace => "workspace",
        }
    }
}

/// Returns the source of each rule in force.
pub fn sources(instance: &PolicyRules, workspace: &PolicyRules) -> BTreeMap<Rule, Source> {
    let above = Policy::default_with(instance);
    let in_force = Policy::in_force(instance, workspace);
    let source = |rule: Rule| {
        if rule.is_set(instance) && rule.is_same(&above, &in_force) {
            Source::Instance
        } else if rule.is_set(workspace) || !rule.is_same(&above, &in_force) {
            Source::Workspace
        } else if rule.is_same(&Policy::default(), &in_force) {
            Source::Default
        } else {
            // The default lifetime, capped by the instance's maximum.
            Source::Instance
        }
    };
    Rule::ALL.iter().map(|rule| (*rule, source(*rule))).collect()
}

/// A policy as it is shown: that of a workspace or of the instance itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// The workspace; `None` for the instance.
    pub workspace: Option<Slug>,
    /// The rules that this level sets.
    pub rules: PolicyRules,
    /// The rules that the instance sets.
    pub instance: PolicyRules,
    /// The policy in force.
    pub effective: Policy,
    /// The source of each rule in force.
    pub sources: BTreeMap<Rule, Source>,
    /// Increases with every change; 0 before the first one.
    pub version: i64,
    /// When this level was last changed; `None` before the first change.
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

/// Why an existing token does not comply with a policy. It continues to work, because a policy only
/// applies to tokens that are created under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfit {
    /// It never expires, but the policy requires an expiry.
    NoEnd,
    /// It lives longer than the policy allows.
    TooLong,
    /// Another token has the same name, but the policy requires unique names.
    NameRepeats,
    /// Its name does not match the pattern.
    NameUnmatched,
    /// Its secret can be shown again, but the policy allows secrets to be shown only once.
    Recoverable,
}

impl Misfit {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::NoEnd, Self::TooLong, Self::NameRepeats, Self::NameUnmatched, Self::Recoverable];

    /// Returns the reason's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoEnd => "no_end",
            Self::TooLong => "too_long",
            Self::NameRepeats => "name_repeats",
            Self::NameUnmatched => "name_unmatched",
            Self::Recoverable => "recoverable",
        }
    }
}

/// The properties of a token that a policy applies to. Expired tokens are not checked, because
/// nobody can use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// When the token was created.
    pub created_at: OffsetDateTime,
    /// When the token expires.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether its secret can be shown again.
    pub recoverable: bool,
    /// Whether another token of its workspace has the same name.
    pub name_repeats: bool,
    /// Whether its name matches every pattern of the policy.
    pub name_matches: bool,
}

impl Fit {
    /// Returns why the token does not comply with this policy; empty if it does. A different prefix
    /// is not a reason, because a prefix shows where a token came from.
    pub fn misfits(&self, policy: &Policy) -> Vec<Misfit> {
        let too_long = match (self.expires_at, policy.latest_expiry(self.created_at)) {
            (Some(end), Some(latest)) => end > latest,
            _ => false,
        };
        [
            (Misfit::NoEnd, self.expires_at.is_none() && !policy.permits_never()),
            (Misfit::TooLong, too_long),
            (Misfit::NameRepeats, policy.unique_names && self.name_repeats),
            (Misfit::NameUnmatched, !self.name_matches),
            (Misfit::Recoverable, policy.reveal == Reveal::Once && self.recoverable),
        ]
        .into_iter()
        .filter_map(|(misfit, holds)| holds.then_some(misfit))
        .collect()
    }
}

/// A token that would not comply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisfitToken {
    /// The token's id.
    pub id: TokenId,
    /// The token's name.
    pub name: String,
    /// The token's workspace.
    pub workspace: Slug,
    /// The e-mail address of the owner that it acts as.
    pub user: String,
    /// Why it does not comply.
    pub reasons: Vec<Misfit>,
}

/// The effect of a change of policy. Existing tokens stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyPreview {
    /// The workspace; `None` for the instance.
    pub workspace: Option<Slug>,
    /// The policy currently in force on this level.
    pub before: Policy,
    /// The policy that would be in force.
    pub after: Policy,
    /// The rules in force that would differ.
    pub changed: Vec<Rule>,
    /// The number of tokens that would not comply, by reason; a token can have several reasons.
    pub misfits: BTreeMap<Misfit, i64>,
    /// The total number of tokens that would not comply.
    pub unfit: i64,
    /// The number of tokens above the limit.
    pub above_cap: i64,
    /// The first tokens that would not comply, at most [`PREVIEW_TOKENS`].
    pub tokens: Vec<MisfitToken>,
    /// The audiences that a preset would create.
    pub audiences: Vec<AudienceSlug>,
    /// The version that the preview is based on, for `If-Match`.
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};

    use super::*;
    use crate::{
        policy::{DAY_S, tests::any_rules},
        preset::Preset,
    };

    const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

    fn fit() -> Fit {
        Fit {
            created_at: NOW,
            expires_at: Some(NOW + Duration::days(90)),
            recoverable: false,
            name_repeats: false,
            name_matches: true,
        }
    }

    #[test]
    fn every_misfit_is_reported() {
        let strict = Policy {
            max_ttl_s: Some(30 * DAY_S),
            allow_never: false,
            unique_names: true,
            ..Policy::default()
        };
        assert_eq!(fit().misfits(&Policy::default()), []);
        assert_eq!(fit().misfits(&strict), [Misfit::TooLong]);
        let endless = Fit { expires_at: None, recoverable: true, name_repeats: true, ..fit() };
        assert_eq!(
            Fit { name_matches: false, ..endless }.misfits(&strict),
            [Misfit::NoEnd, Misfit::NameRepeats, Misfit::NameUnmatched, Misfit::Recoverable]
        );
        let at_limit = Fit { expires_at: Some(NOW + Duration::days(30)), ..fit() };
        assert_eq!(at_limit.misfits(&strict), []);
    }

    #[test]
    fn sources_name_the_level_that_binds() {
        let instance = Preset::RobustIntelligence.rules();
        let workspace = PolicyRules {
            max_tokens: Some(10),
            max_ttl_s: Some(1_000 * DAY_S),
            prefix: Some("acme".into()),
            ..PolicyRules::default()
        };
        let sources = sources(&instance, &workspace);
        assert_eq!(sources[&Rule::MaxTokens], Source::Workspace);
        assert_eq!(sources[&Rule::MaxTtlS], Source::Instance, "the workspace's is no stricter");
        assert_eq!(sources[&Rule::Prefix], Source::Workspace);
        assert_eq!(sources[&Rule::SelfService], Source::Default);
    }

    proptest! {
        #[test]
        fn rule_with_the_source_default_is_unset_and_has_its_default(above in any_rules(), below in any_rules()) {
            for (rule, source) in sources(&above, &below) {
                if source == Source::Default {
                    prop_assert!(!rule.is_set(&above) && !rule.is_set(&below));
                    prop_assert!(rule.is_same(&Policy::default(), &Policy::in_force(&above, &below)));
                }
            }
        }

        #[test]
        fn token_that_fits_a_narrower_policy_fits_the_wider_one(
            above in any_rules(), below in any_rules(), days in proptest::option::of(1i64..600),
            recoverable in any::<bool>(), name_repeats in any::<bool>(),
        ) {
            let fit = Fit {
                expires_at: days.map(|days| NOW + Duration::seconds(days)), recoverable, name_repeats, ..fit()
            };
            let policy = Policy::default_with(&above);
            let wider = fit.misfits(&policy);
            for misfit in wider {
                prop_assert!(fit.misfits(&policy.narrowed_by(&below)).contains(&misfit));
            }
        }
    }
}
