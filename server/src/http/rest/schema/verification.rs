//! Answers of a verification.

use std::collections::BTreeMap;

use authority::{Decision, RateState};
use domain::decision::{AudienceRights, DecisionCode, Facts};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{UserBody, grants_schema, texts};

/// A decision's stable code. Only `VALID` lets a call through.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = DecisionCode)]
pub(crate) enum CodeBody {
    /// The token may do this.
    Valid,
    /// No such token, or one of a workspace that the caller may not ask about.
    NotFound,
    /// The text is no token: wrong form or wrong checksum.
    Malformed,
    /// The token is switched off.
    Disabled,
    /// The token is past its end.
    Expired,
    /// The token was deleted.
    Revoked,
    /// The token has not begun.
    NotYetValid,
    /// The token is not meant for this audience.
    AudienceMismatch,
    /// The token lacks a scope that was asked for.
    InsufficientScope,
    /// The token may not be used from this address.
    IpDenied,
    /// The token's user is disabled or has left the workspace.
    OwnerDisabled,
    /// The token may do this, but was used as often as it may be for now.
    RateLimited,
}

impl From<DecisionCode> for CodeBody {
    fn from(code: DecisionCode) -> Self {
        match code {
            DecisionCode::Valid => Self::Valid,
            DecisionCode::NotFound => Self::NotFound,
            DecisionCode::Malformed => Self::Malformed,
            DecisionCode::Disabled => Self::Disabled,
            DecisionCode::Expired => Self::Expired,
            DecisionCode::Revoked => Self::Revoked,
            DecisionCode::NotYetValid => Self::NotYetValid,
            DecisionCode::AudienceMismatch => Self::AudienceMismatch,
            DecisionCode::InsufficientScope => Self::InsufficientScope,
            DecisionCode::IpDenied => Self::IpDenied,
            DecisionCode::OwnerDisabled => Self::OwnerDisabled,
            DecisionCode::RateLimited => Self::RateLimited,
        }
    }
}

/// What a verification answers for a token that may do what was asked.
#[derive(Serialize, ToSchema)]
#[schema(as = ValidToken, example = json!({
    "valid": true,
    "code": "VALID",
    "token_id": "0198c2c4-7a00-7000-8000-00000000002a",
    "workspace": "workspace-1",
    "user": {
        "id": "0198c2c4-7a00-7000-8000-000000000001",
        "email": "ada@example.com",
        "name": "Ada"
    },
    "grants": {"default": ["rivers:run"]},
    "audiences": ["default"],
    "scopes": ["rivers:run"],
    "expires_at": "2027-08-18T12:00:00Z",
    "rate_limit": {"limit": 600, "window_s": 60, "remaining": 599, "reset_s": 1}
}))]
pub(crate) struct ValidBody {
    /// Always true.
    valid: bool,
    /// Always `VALID`.
    code: CodeBody,
    /// The token.
    token_id: Uuid,
    /// The slug of its workspace.
    workspace: String,
    /// The user that it acts as.
    user: UserBody,
    /// What it may do: for each API that it is meant for, its scopes there and all that they imply.
    #[schema(schema_with = grants_schema)]
    grants: BTreeMap<String, Vec<String>>,
    /// The APIs that it is meant for: a flat view of `grants`.
    audiences: Vec<String>,
    /// The names of its scopes in all of these APIs: a flat view of `grants`. A name says nothing of which
    /// API it is granted in.
    scopes: Vec<String>,
    /// Its end; null when it never expires.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// What is left of its rate limit after this question, on the server that answers; null when it
    /// has none.
    rate_limit: Option<RateStateBody>,
    /// Only when the database is away and the server answers from memory all the same (setting
    /// `stale_grace`): for how many seconds it could not be made sure that nothing was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stale_s: Option<u64>,
}

/// What is left of a token's rate limit.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimitState)]
pub(crate) struct RateStateBody {
    /// Uses in a window.
    limit: u32,
    /// The window in seconds.
    window_s: u32,
    /// Uses that may follow at once.
    remaining: u32,
    /// Seconds until all of them may again.
    reset_s: u32,
}

impl From<RateState> for RateStateBody {
    fn from(rate: RateState) -> Self {
        let RateState { limit, window_s, remaining, reset_s, .. } = rate;
        Self { limit, window_s, remaining, reset_s }
    }
}

/// What a verification answers for any other: no more than the reason.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedToken, example = json!({"valid": false, "code": "INSUFFICIENT_SCOPE"}))]
pub(crate) struct RefusedBody {
    /// Always false.
    valid: bool,
    /// Why not.
    code: CodeBody,
    /// With `RATE_LIMITED`: what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rate_limit: Option<RateStateBody>,
    /// With `RATE_LIMITED`: seconds after which the token may be used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_s: Option<u32>,
    /// As for one that is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stale_s: Option<u64>,
}

/// The answer of a verification.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Verification)]
pub(crate) enum VerificationBody {
    /// The token may do this.
    Valid(Box<ValidBody>),
    /// It may not.
    Refused(RefusedBody),
}

/// What a token may do, by audience.
pub(crate) fn granted(facts: &Facts) -> BTreeMap<String, Vec<String>> {
    let of = |rights: &AudienceRights| {
        (rights.audience.to_string(), texts(rights.granted.iter().cloned()))
    };
    facts.surroundings.rights.iter().map(of).collect()
}

impl VerificationBody {
    /// The answer to this decision. Facts are told only with a `VALID` one.
    pub(crate) fn of(decision: &Decision) -> Self {
        let code = decision.code.into();
        let stale_s = decision.stale.map(|stale| stale.as_secs());
        match &decision.facts {
            Some(facts) if decision.code == DecisionCode::Valid => {
                Self::Valid(Box::new(ValidBody {
                    valid: true,
                    code,
                    token_id: facts.token_id.0,
                    workspace: facts.surroundings.workspace.to_string(),
                    user: facts.surroundings.user.clone().into(),
                    grants: granted(facts),
                    audiences: texts(facts.surroundings.audiences().cloned()),
                    scopes: texts(facts.surroundings.all_granted().into_iter().cloned()),
                    expires_at: facts.expires_at,
                    rate_limit: decision.rate.map(Into::into),
                    stale_s,
                }))
            }
            _ => Self::Refused(RefusedBody {
                valid: false,
                code,
                rate_limit: decision.rate.map(Into::into),
                retry_after_s: decision.rate.map(|rate| rate.retry_after_s),
                stale_s,
            }),
        }
    }
}
