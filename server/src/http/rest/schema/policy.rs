//! Policies: the rules that a level sets, and the rules in force.

use std::collections::BTreeMap;

use domain::{
    policy::{OnParentEnd, OnReuse, Policy, PolicyRules, Reveal},
    policy_view::PolicyView,
    preset::Preset,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Whether a token's secret can be shown after its creation.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Reveal)]
pub(crate) enum RevealBody {
    /// Only once, at its creation.
    Once,
    /// Again, for tokens that were created as recoverable.
    RecoverableAllowed,
}

/// The reaction to a replaced secret that is presented after its grace.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnReuse)]
pub(crate) enum OnReuseBody {
    /// It is recorded on the token.
    Record,
    /// It is recorded, and the token is disabled.
    Disable,
}

/// What happens to a token's children, the tokens that it created, when it is disabled, expired
/// or deleted.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnParentEnd)]
pub(crate) enum OnParentEndBody {
    /// They stay as they are, unless the caller includes them.
    Keep,
    /// The same happens to them.
    End,
}

/// A predefined policy.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Preset)]
pub(crate) enum PresetText {
    /// The defaults, without any rules of its own.
    Standard,
    /// Only administrators manage tokens; names are unique.
    Rivery,
    /// Secrets can be shown again; five audiences.
    Devo,
    /// Members manage their own tokens, which may never expire.
    Kriten,
    /// At most 200 tokens, which live 270 days.
    RobustIntelligence,
}

/// The rules that one level sets. A rule that is null or absent is left to the level above, or to
/// the default.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
#[schema(as = PolicyRules, example = json!({
    "max_tokens": 200, "default_ttl_s": 7_776_000, "max_ttl_s": 23_328_000, "unique_names": true
}))]
pub(crate) struct RulesBody {
    /// Maximum number of tokens at a time, not counting deleted ones. The instance's limit counts
    /// all workspaces.
    #[schema(minimum = 0)]
    max_tokens: Option<i64>,
    /// Lifetime of a token that is created without an expiry, in seconds. Not longer
    /// than `max_ttl_s`.
    #[schema(minimum = 1, maximum = 3_155_760_000_i64)]
    default_ttl_s: Option<i64>,
    /// Longest lifetime, in seconds.
    #[schema(minimum = 1, maximum = 3_155_760_000_i64)]
    max_ttl_s: Option<i64>,
    /// Whether a token may never expire.
    allow_never: Option<bool>,
    /// Whether tokens can be created whose secret can be shown again.
    reveal: Option<RevealBody>,
    /// The prefix of new tokens.
    #[schema(pattern = "^[a-z][a-z0-9]{0,15}$", example = "tsr")]
    prefix: Option<String>,
    /// Whether token names are unique within a workspace.
    unique_names: Option<bool>,
    /// A regular expression (in the syntax of the Rust crate regex: no look-around) that a token's
    /// whole name must match.
    #[schema(min_length = 1, max_length = 200, example = "[a-z0-9-]+")]
    name_pattern: Option<String>,
    /// Whether members manage their own tokens.
    self_service: Option<bool>,
    /// The longest time for which a replaced secret still works, in seconds.
    #[schema(minimum = 0, maximum = 3_155_760_000_i64)]
    max_grace_s: Option<i64>,
    /// The reaction to a replaced secret that is presented after its grace.
    on_reuse: Option<OnReuseBody>,
    /// Whether a token may rotate itself.
    self_rotate: Option<bool>,
    /// What happens to a token's children, the tokens that it created, when it is disabled, expired
    /// or deleted.
    on_parent_end: Option<OnParentEndBody>,
    /// The preset that these rules came from, for information. It is not a rule.
    preset: Option<PresetText>,
}

/// The rules in force for tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate rule")]
pub(crate) struct PolicyBody {
    /// Maximum number of tokens at a time; null means no limit.
    max_tokens: Option<i64>,
    /// Lifetime of a token that is created without an expiry, in seconds; null means that it
    /// never expires.
    default_ttl_s: Option<i64>,
    /// Longest lifetime, in seconds; null means no limit.
    max_ttl_s: Option<i64>,
    /// Whether a token may never expire.
    allow_never: bool,
    /// Whether tokens can be created whose secret can be shown again.
    reveal: RevealBody,
    /// The prefix of new tokens.
    #[schema(example = "tsr")]
    prefix: String,
    /// Whether token names are unique within the workspace.
    unique_names: bool,
    /// Regular expressions, each of which a token's whole name must match.
    name_patterns: Vec<String>,
    /// Whether members manage their own tokens.
    self_service: bool,
    /// The longest time for which a replaced secret still works, in seconds; null means no limit.
    max_grace_s: Option<i64>,
    /// The reaction to a replaced secret that is presented after its grace.
    on_reuse: OnReuseBody,
    /// Whether a token may rotate itself.
    self_rotate: bool,
    /// What happens to a token's children, the tokens that it created, when it is disabled, expired
    /// or deleted.
    on_parent_end: OnParentEndBody,
}

/// A policy: the rules that a level sets, the rules in force, and the origin of each rule.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyView)]
pub(crate) struct PolicyViewBody {
    /// The workspace's slug; null for the instance.
    workspace: Option<String>,
    /// The rules that this level sets.
    rules: RulesBody,
    /// The rules that the instance sets.
    instance: RulesBody,
    /// The rules in force.
    effective: PolicyBody,
    /// The origin of each rule in force: `default`, `instance` or `workspace`.
    #[schema(example = json!({"max_tokens": "instance", "prefix": "workspace", "reveal": "default"}))]
    sources: BTreeMap<String, String>,
    /// When this level last changed; null if it never has.
    #[serde(with = "time::serde::rfc3339::option")]
    updated_at: Option<OffsetDateTime>,
}

impl From<PolicyView> for PolicyViewBody {
    fn from(view: PolicyView) -> Self {
        let text = |text: &'static str| text.to_owned();
        Self {
            workspace: view.workspace.map(Into::into),
            rules: view.rules.into(),
            instance: view.instance.into(),
            effective: view.effective.into(),
            sources: view
                .sources
                .into_iter()
                .map(|(rule, source)| (text(rule.as_str()), text(source.as_str())))
                .collect(),
            updated_at: view.updated_at,
        }
    }
}

impl From<Policy> for PolicyBody {
    fn from(policy: Policy) -> Self {
        Self {
            max_tokens: policy.max_tokens,
            default_ttl_s: policy.default_ttl_s,
            max_ttl_s: policy.max_ttl_s,
            allow_never: policy.allow_never,
            reveal: policy.reveal.into(),
            prefix: policy.prefix,
            unique_names: policy.unique_names,
            name_patterns: policy.name_patterns,
            self_service: policy.self_service,
            max_grace_s: policy.max_grace_s,
            on_reuse: policy.on_reuse.into(),
            self_rotate: policy.self_rotate,
            on_parent_end: policy.on_parent_end.into(),
        }
    }
}

impl From<PolicyRules> for RulesBody {
    fn from(rules: PolicyRules) -> Self {
        Self {
            max_tokens: rules.max_tokens,
            default_ttl_s: rules.default_ttl_s,
            max_ttl_s: rules.max_ttl_s,
            allow_never: rules.allow_never,
            reveal: rules.reveal.map(Into::into),
            prefix: rules.prefix,
            unique_names: rules.unique_names,
            name_pattern: rules.name_pattern,
            self_service: rules.self_service,
            max_grace_s: rules.max_grace_s,
            on_reuse: rules.on_reuse.map(Into::into),
            self_rotate: rules.self_rotate,
            on_parent_end: rules.on_parent_end.map(Into::into),
            preset: rules.preset.map(Into::into),
        }
    }
}

impl From<RulesBody> for PolicyRules {
    fn from(rules: RulesBody) -> Self {
        Self {
            max_tokens: rules.max_tokens,
            default_ttl_s: rules.default_ttl_s,
            max_ttl_s: rules.max_ttl_s,
            allow_never: rules.allow_never,
            reveal: rules.reveal.map(Into::into),
            prefix: rules.prefix,
            unique_names: rules.unique_names,
            name_pattern: rules.name_pattern,
            self_service: rules.self_service,
            max_grace_s: rules.max_grace_s,
            on_reuse: rules.on_reuse.map(Into::into),
            self_rotate: rules.self_rotate,
            on_parent_end: rules.on_parent_end.map(Into::into),
            preset: rules.preset.map(Into::into),
        }
    }
}

macro_rules! same {
    ($body:ident, $domain:ident { $($variant:ident),+ }) => {
        impl From<$domain> for $body {
            fn from(value: $domain) -> Self {
                match value { $($domain::$variant => Self::$variant),+ }
            }
        }

        impl From<$body> for $domain {
            fn from(value: $body) -> Self {
                match value { $($body::$variant => Self::$variant),+ }
            }
        }
    };
}

same!(RevealBody, Reveal { Once, RecoverableAllowed });
same!(OnReuseBody, OnReuse { Record, Disable });
same!(OnParentEndBody, OnParentEnd { Keep, End });
same!(PresetText, Preset { Standard, Rivery, Devo, Kriten, RobustIntelligence });
