//! Responses to verifications.

use std::{borrow::Cow, collections::BTreeMap};

use authority::{Decision, Facts, Pace, RateState};
use domain::decision::DecisionCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};
use uuid::Uuid;

use super::{UserBody, grants_schema};

/// A decision's stable code, with its schema.
#[derive(Clone, Copy, Serialize)]
#[serde(transparent)]
pub(crate) struct CodeBody(DecisionCode);

impl From<DecisionCode> for CodeBody {
    fn from(code: DecisionCode) -> Self {
        Self(code)
    }
}

impl PartialSchema for CodeBody {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A decision's stable code. Only `VALID` permits a call."))
            .enum_values(Some(DecisionCode::ALL.map(DecisionCode::as_str)))
            .build()
            .into()
    }
}

impl ToSchema for CodeBody {
    fn name() -> Cow<'static, str> {
        "DecisionCode".into()
    }
}

/// The response for a token that may do what was requested.
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
pub(crate) struct ValidBody<'a> {
    /// Always true.
    valid: bool,
    /// Always `VALID`.
    code: CodeBody,
    /// The token.
    token_id: Uuid,
    /// The slug of its workspace.
    workspace: &'a str,
    /// The user that it acts as.
    user: UserBody,
    /// Its scopes for each API that it is meant for, with all scopes that they imply.
    #[schema(schema_with = grants_schema)]
    grants: BTreeMap<&'a str, Vec<&'a str>>,
    /// The APIs that it is meant for: a flat view of `grants`.
    audiences: Vec<&'a str>,
    /// The names of its scopes in all of these APIs: a flat view of `grants`. A name does not say
    /// for which API the scope is granted.
    scopes: Vec<&'a str>,
    /// When it expires; null if it never does.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// The state of its rate limit after this verification, on the responding server; null if it
    /// has none.
    rate_limit: Option<RateStateBody>,
    /// Present only if the database is unreachable and the server responds from memory (setting
    /// `stale_grace`): the number of seconds for which the server has been unable to confirm that
    /// nothing was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stale_s: Option<u64>,
}

/// The state of a token's rate limit.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimitState)]
pub(crate) struct RateStateBody {
    /// Uses per window.
    limit: u32,
    /// The window in seconds.
    window_s: u32,
    /// Uses that are possible at once.
    remaining: u32,
    /// Seconds until all uses are available again.
    reset_s: u32,
}

impl From<RateState> for RateStateBody {
    fn from(rate: RateState) -> Self {
        let RateState { limit, window_s, remaining, reset_s, .. } = rate;
        Self { limit, window_s, remaining, reset_s }
    }
}

/// The response for any other token, which contains only the reason.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedToken, example = json!({"valid": false, "code": "INSUFFICIENT_SCOPE"}))]
pub(crate) struct RefusedBody {
    /// Always false.
    valid: bool,
    /// The reason.
    code: CodeBody,
    /// With `RATE_LIMITED`: the state of the rate limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rate_limit: Option<RateStateBody>,
    /// With `RATE_LIMITED`: seconds after which the token may be used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_s: Option<u32>,
    /// As for a valid token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stale_s: Option<u64>,
}

/// The response to a verification.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Verification)]
pub(crate) enum VerificationBody<'a> {
    /// The token may do this.
    Valid(Box<ValidBody<'a>>),
    /// The token may not do this.
    Refused(RefusedBody),
}

/// Responses to several requests.
#[derive(ToSchema)]
#[schema(as = Verifications)]
#[expect(dead_code, reason = "documents the response, which is written item by item")]
pub(crate) struct AnswersBody {
    /// One for each request, in the same order.
    items: Vec<VerificationBody<'static>>,
}

/// Writes the responses to several requests one by one, and lets the worker's other tasks run
/// in between.
pub(crate) async fn write_answers(decisions: &[Decision]) -> serde_json::Result<Vec<u8>> {
    let (mut body, mut pace) = (Vec::from(br#"{"items":["#), Pace::default());
    for (index, decision) in decisions.iter().enumerate() {
        let before = body.len();
        if index > 0 {
            body.push(b',');
        }
        serde_json::to_writer(&mut body, &VerificationBody::of(decision))?;
        pace.spend_bytes(body.len() - before).await;
    }
    body.extend_from_slice(b"]}");
    Ok(body)
}

/// Returns the scopes that a token may use, by audience.
pub(crate) fn granted(facts: &Facts) -> BTreeMap<&str, Vec<&str>> {
    let rights = facts.surroundings.rights.iter();
    rights.map(|rights| (rights.audience.as_ref(), names(rights.granted.iter()))).collect()
}

/// Returns the names as borrowed text.
pub(crate) fn names<'a, T: AsRef<str> + 'a>(
    names: impl IntoIterator<Item = &'a T>,
) -> Vec<&'a str> {
    names.into_iter().map(AsRef::as_ref).collect()
}

impl<'a> ValidBody<'a> {
    fn of(facts: &'a Facts, rate: Option<RateState>, stale_s: Option<u64>) -> Self {
        let surroundings = &facts.surroundings;
        Self {
            valid: true,
            code: CodeBody(DecisionCode::Valid),
            token_id: facts.token_id.0,
            workspace: surroundings.workspace.as_ref(),
            user: surroundings.user.clone().into(),
            grants: granted(facts),
            audiences: names(surroundings.audiences()),
            scopes: names(surroundings.all_granted()),
            expires_at: facts.expires_at,
            rate_limit: rate.map(Into::into),
            stale_s,
        }
    }
}

impl<'a> VerificationBody<'a> {
    /// Returns the response to this decision. It contains facts only if the decision is `VALID`.
    pub(crate) fn of(decision: &'a Decision) -> Self {
        let code = decision.code.into();
        let stale_s = decision.stale.map(|stale| stale.as_secs());
        match &decision.facts {
            Some(facts) if decision.code == DecisionCode::Valid => {
                Self::Valid(Box::new(ValidBody::of(facts, decision.rate, stale_s)))
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

#[cfg(test)]
mod tests {
    use authority::{
        AudienceRights, Counted, Rendered, SecretFacts, Surroundings, Validity, Verifies,
    };
    use domain::{
        ids::{SecretId, TokenId, UserId, WorkspaceId},
        token::UserSummary,
    };
    use time::macros::datetime;

    use super::*;

    const MOMENT: OffsetDateTime = datetime!(2026-01-02 03:04:05.678901 UTC);

    fn facts(audiences: usize, scopes: usize, user: &str) -> Facts {
        let rights = |audience: usize| AudienceRights {
            audience: format!("{}{audience}", "a".repeat(60)).parse().unwrap(),
            scopes: [].into(),
            granted: (0..scopes)
                .map(|number| format!("a://{audience}.{number:03}{}", "s".repeat(500)))
                .map(|name| name.parse().unwrap())
                .collect(),
        };
        let id = Uuid::max();
        let user = UserSummary { id: UserId(id), email: user.into(), name: user.into() };
        let surroundings = Surroundings {
            workspace_id: WorkspaceId(id),
            workspace: "w".repeat(60).parse().unwrap(),
            user,
            user_active: true,
            rights: (0..audiences).map(rights).collect(),
            verifies: Verifies::Nobody,
            rendered: Rendered::default(),
            counted: Counted::default(),
            validity: Validity::default(),
        };
        let secret = SecretFacts {
            id: SecretId(id),
            current: true,
            awaited: false,
            reused: false,
            created_at: MOMENT,
            expires_at: None,
            ended: false,
        };
        Facts {
            token_id: TokenId(id),
            name: "ci".into(),
            surroundings: surroundings.into(),
            enabled: true,
            deleted: false,
            not_before: None,
            expires_at: Some(MOMENT),
            ended: false,
            secret,
            ip_allow: vec![],
            rate_limit: None,
        }
    }

    /// The bound refuses a batch before anything is written.
    #[test]
    fn response_size_is_within_its_bound() {
        let rate = RateState {
            allowed: true,
            limit: u32::MAX,
            window_s: u32::MAX,
            remaining: u32::MAX,
            reset_s: u32::MAX,
            retry_after_s: u32::MAX,
        };
        for facts in [facts(0, 0, ""), facts(9, 0, r#""\"#), facts(1, 128, "é"), facts(7, 20, "x")]
        {
            let body = ValidBody::of(&facts, Some(rate), Some(u64::MAX));
            let bytes = serde_json::to_vec(&body).unwrap().len();
            let bound = facts.surroundings.answer_max();
            assert!((bytes..bytes + 600).contains(&bound), "{bytes} {bound}");
        }
    }
}
