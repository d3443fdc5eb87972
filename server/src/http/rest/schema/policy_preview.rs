//! The effect of a change of policy.

use domain::policy_view::{Misfit, MisfitToken, PolicyPreview, Rule};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{PolicyBody, texts};

/// The reason why a token would not comply.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Misfit)]
pub(crate) enum MisfitBody {
    /// It never expires, and policy requires an expiry.
    NoEnd,
    /// Its lifetime is longer than policy allows.
    TooLong,
    /// Another token has the same name, and policy requires unique names.
    NameRepeats,
    /// Its name does not match the pattern.
    NameUnmatched,
    /// Its secret can be shown again, and policy allows showing it only once.
    Recoverable,
}

impl From<Misfit> for MisfitBody {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::NoEnd => Self::NoEnd,
            Misfit::TooLong => Self::TooLong,
            Misfit::NameRepeats => Self::NameRepeats,
            Misfit::NameUnmatched => Self::NameUnmatched,
            Misfit::Recoverable => Self::Recoverable,
        }
    }
}

/// How many tokens would not comply. One token can have several reasons.
#[derive(Serialize, ToSchema)]
#[schema(as = Misfits)]
pub(crate) struct MisfitsBody {
    /// Tokens that would not comply, for any reason.
    total: i64,
    /// Tokens that never expire although policy requires an expiry.
    no_end: i64,
    /// Tokens whose lifetime is longer than policy allows.
    too_long: i64,
    /// Tokens that share a name although policy requires unique names.
    name_repeats: i64,
    /// Tokens whose name does not match the pattern.
    name_unmatched: i64,
    /// Tokens whose secret can be shown again although policy allows showing it only once.
    recoverable: i64,
    /// Tokens above the limit.
    above_cap: i64,
}

/// A token that would not comply.
#[derive(Serialize, ToSchema)]
#[schema(as = MisfitToken)]
pub(crate) struct MisfitTokenBody {
    /// Its ID.
    id: Uuid,
    /// Its name.
    name: String,
    /// The slug of its workspace.
    workspace: String,
    /// The address of the user that it acts as.
    user: String,
    /// Why it would not comply.
    reasons: Vec<MisfitBody>,
}

impl From<MisfitToken> for MisfitTokenBody {
    fn from(token: MisfitToken) -> Self {
        Self {
            id: token.id.0,
            name: token.name,
            workspace: token.workspace.into(),
            user: token.user,
            reasons: token.reasons.into_iter().map(Into::into).collect(),
        }
    }
}

/// The effect of a change of policy. Existing tokens stay as they are: policy binds only
/// later changes.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyPreview)]
pub(crate) struct PreviewBody {
    /// The workspace's slug; null for the instance.
    workspace: Option<String>,
    /// The rules in force now.
    before: PolicyBody,
    /// The rules that would be in force.
    after: PolicyBody,
    /// The rules in force that would change.
    #[schema(example = json!(["max_tokens", "default_ttl_s"]))]
    changed: Vec<String>,
    /// How many tokens would not comply.
    misfits: MisfitsBody,
    /// The first 50 of them; empty for callers who may not see tokens.
    tokens: Vec<MisfitTokenBody>,
    /// Audiences that the preset would create.
    audiences: Vec<String>,
}

impl From<PolicyPreview> for PreviewBody {
    fn from(preview: PolicyPreview) -> Self {
        let count = |misfit: Misfit| preview.misfits.get(&misfit).copied().unwrap_or_default();
        Self {
            misfits: MisfitsBody {
                total: preview.unfit,
                no_end: count(Misfit::NoEnd),
                too_long: count(Misfit::TooLong),
                name_repeats: count(Misfit::NameRepeats),
                name_unmatched: count(Misfit::NameUnmatched),
                recoverable: count(Misfit::Recoverable),
                above_cap: preview.above_cap,
            },
            workspace: preview.workspace.map(Into::into),
            before: preview.before.into(),
            after: preview.after.into(),
            changed: preview.changed.into_iter().map(Rule::as_str).map(str::to_owned).collect(),
            tokens: preview.tokens.into_iter().map(Into::into).collect(),
            audiences: texts(preview.audiences),
        }
    }
}
