//! What a change of policy would mean.

use domain::policy_view::{Misfit, MisfitToken, PolicyPreview, Rule};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{PolicyBody, texts};

/// Why a token would not fit.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Misfit)]
pub(crate) enum MisfitBody {
    /// It has no end, and policy wants one.
    NoEnd,
    /// It lives longer than policy allows.
    TooLong,
    /// Another token has its name, and policy wants names to be unique.
    NameRepeats,
    /// Its name does not match the pattern.
    NameUnmatched,
    /// Its secret can be shown again, and policy allows it once.
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

/// How many tokens would not fit. One token can have several reasons.
#[derive(Serialize, ToSchema)]
#[schema(as = Misfits)]
pub(crate) struct MisfitsBody {
    /// Tokens that would not fit, for whatever reason.
    total: i64,
    /// Without an end where policy wants one.
    no_end: i64,
    /// Living longer than policy allows.
    too_long: i64,
    /// With the name of another token where names shall be unique.
    name_repeats: i64,
    /// With a name that does not match.
    name_unmatched: i64,
    /// With a secret that can be shown again where it shall be shown once.
    recoverable: i64,
    /// Tokens above the cap.
    above_cap: i64,
}

/// A token that would not fit.
#[derive(Serialize, ToSchema)]
#[schema(as = MisfitToken)]
pub(crate) struct MisfitTokenBody {
    /// Its id.
    id: Uuid,
    /// Its name.
    name: String,
    /// The slug of its workspace.
    workspace: String,
    /// The address of the user that it acts as.
    user: String,
    /// Why it would not fit.
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

/// What a change of policy would mean. The tokens that are there go on as they are: policy binds
/// what is made.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyPreview)]
pub(crate) struct PreviewBody {
    /// The workspace's slug; null for the instance.
    workspace: Option<String>,
    /// What is in force now.
    before: PolicyBody,
    /// What would be in force.
    after: PolicyBody,
    /// The rules in force that would differ.
    #[schema(example = json!(["max_tokens", "default_ttl_s"]))]
    changed: Vec<String>,
    /// How many tokens would not fit.
    misfits: MisfitsBody,
    /// The first of them, 50 at most; empty for callers who may not see tokens.
    tokens: Vec<MisfitTokenBody>,
    /// Audiences that the preset would make.
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
