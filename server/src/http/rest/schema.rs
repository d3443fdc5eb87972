//! What the REST API sends, spelled out: the one place where its JSON is fixed.
//!
//! Each type is made from the authority's own by `From`, so that a change there cannot change the
//! API by accident. Times are RFC 3339 in UTC.

use std::net::IpAddr;

use domain::{
    catalogue::{Catalogue, Risk, Scope, ScopeGroup},
    decision::{DecisionCode, Facts},
    problem::Problem,
    token::{Page, Token, TokenState, UserSummary},
    workspace::{TokenCounts, WorkspaceCard, WorkspaceOverview},
};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// The name of a scope, such as `rivers:read`.
#[derive(ToSchema)]
#[schema(as = ScopeName, pattern = "^[a-z0-9._-]+(:[a-z0-9._-]+)*$", max_length = 128, example = "rivers:run")]
#[expect(dead_code, reason = "describes; values are parsed by the authority")]
pub(crate) struct ScopeText(String);

/// The name of an audience, such as `default`.
#[derive(ToSchema)]
#[schema(as = AudienceName, pattern = "^[a-z0-9][a-z0-9._-]*$", max_length = 63, example = "default")]
#[expect(dead_code, reason = "describes; values are parsed by the authority")]
pub(crate) struct AudienceText(String);

/// A user, as other records name them.
#[derive(Serialize, ToSchema)]
#[schema(as = User, example = json!({
    "id": "0198c2c4-7a00-7000-8000-000000000001", "email": "ada@example.com", "name": "Ada"
}))]
pub(crate) struct UserBody {
    /// The user's id.
    id: Uuid,
    /// The user's e-mail address.
    email: String,
    /// The user's name.
    name: String,
}

impl From<UserSummary> for UserBody {
    fn from(user: UserSummary) -> Self {
        Self { id: user.id.0, email: user.email, name: user.name }
    }
}

/// Whether a token can be used now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TokenState)]
pub(crate) enum StateBody {
    /// Enabled, begun, not expired.
    Active,
    /// Switched off.
    Disabled,
    /// Past its expiry.
    Expired,
    /// Not begun yet.
    Scheduled,
}

impl From<TokenState> for StateBody {
    fn from(state: TokenState) -> Self {
        match state {
            TokenState::Active => Self::Active,
            TokenState::Disabled => Self::Disabled,
            TokenState::Expired => Self::Expired,
            TokenState::Scheduled => Self::Scheduled,
        }
    }
}

/// A token's record. Never its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = token_example)]
pub(crate) struct TokenBody {
    /// Its id, for good.
    id: Uuid,
    /// Its number on this instance, for clients that need an integer.
    num: i64,
    /// The slug of its workspace.
    workspace: String,
    /// Its name.
    name: String,
    /// What it is for.
    description: String,
    /// The user that it acts as.
    user: UserBody,
    /// Who made it; null when it was made on the command line.
    created_by: Option<UserBody>,
    /// The APIs that it is meant for.
    audiences: Vec<String>,
    /// Its scopes as they were granted, without what they imply.
    scopes: Vec<String>,
    /// The switch.
    enabled: bool,
    /// Whether it can be used now.
    active: bool,
    /// What the record says now.
    state: StateBody,
    /// Prefix and last four characters of its secret, to tell it from others.
    hint: String,
    /// Not valid before this moment; null when it is valid from its creation.
    #[serde(with = "time::serde::rfc3339::option")]
    not_before: Option<OffsetDateTime>,
    /// Not valid from this moment on; null when it never expires.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// Addresses and networks from which it may be used; empty is from anywhere.
    ip_allow: Vec<String>,
    /// When it was last verified with the code `VALID`, to the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    /// The caller's address then.
    #[schema(value_type = Option<String>)]
    last_used_ip: Option<IpAddr>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When its record last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.0,
            num: token.num,
            workspace: token.workspace.into(),
            name: token.name,
            description: token.description.into(),
            user: token.user.into(),
            created_by: token.created_by.map(Into::into),
            audiences: texts(token.audiences),
            scopes: texts(token.scopes),
            enabled: token.enabled,
            active: token.active,
            state: token.state.into(),
            hint: token.hint,
            not_before: token.not_before,
            expires_at: token.expires_at,
            ip_allow: token.ip_allow.iter().map(ToString::to_string).collect(),
            last_used_at: token.last_used_at,
            last_used_ip: token.last_used_ip,
            created_at: token.created_at,
            updated_at: token.updated_at,
        }
    }
}

/// One page of tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenPage)]
pub(crate) struct TokenPageBody {
    /// The rows.
    items: Vec<TokenBody>,
    /// What to send as `cursor` for the next page; null on the last one.
    next: Option<String>,
}

impl From<Page<Token>> for TokenPageBody {
    fn from(page: Page<Token>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// How many tokens a workspace has.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenCounts)]
pub(crate) struct CountsBody {
    /// All of them, deleted ones not counted.
    total: i64,
    /// Usable now.
    active: i64,
    /// Usable now and ending within 14 days.
    expiring: i64,
    /// Past their end.
    expired: i64,
    /// Switched off.
    disabled: i64,
    /// Never verified as valid.
    never_used: i64,
}

impl From<TokenCounts> for CountsBody {
    fn from(counts: TokenCounts) -> Self {
        Self {
            total: counts.total,
            active: counts.active,
            expiring: counts.expiring,
            expired: counts.expired,
            disabled: counts.disabled,
            never_used: counts.never_used,
        }
    }
}

/// A workspace that the caller sees.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceBody {
    /// Its id.
    id: Uuid,
    /// Its name in paths.
    #[schema(example = "workspace-1")]
    slug: String,
    /// Its name for people.
    #[schema(example = "Workspace 1")]
    name: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The caller's role in it; null for administrators of the instance who are no members.
    #[schema(example = "admin")]
    role: Option<&'static str>,
    /// Whether the caller may make and delete tokens in it.
    may_manage_tokens: bool,
    /// How many tokens it has.
    counts: CountsBody,
}

impl From<WorkspaceCard> for WorkspaceBody {
    fn from(card: WorkspaceCard) -> Self {
        Self {
            id: card.workspace.id.0,
            slug: card.workspace.slug.into(),
            name: card.workspace.name.into(),
            created_at: card.workspace.created_at,
            role: card.role.map(domain::roles::WorkspaceRole::as_str),
            may_manage_tokens: card.may_manage_tokens,
            counts: card.counts.into(),
        }
    }
}

/// Workspaces that the caller sees.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceList)]
pub(crate) struct WorkspaceListBody {
    /// All of them.
    pub(super) items: Vec<WorkspaceBody>,
    /// Always null: the list has one page.
    pub(super) next: Option<String>,
}

/// A workspace with the rules for its tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceWithPolicy)]
pub(crate) struct WorkspaceOverviewBody {
    #[serde(flatten)]
    workspace: WorkspaceBody,
    /// The rules in force.
    policy: PolicyBody,
}

/// The rules for tokens of a workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub(crate) struct PolicyBody {
    /// Most tokens at a time; null is no limit.
    max_tokens: Option<i64>,
    /// Lifetime of a token whose maker names no expiry, in seconds; null is never expiring.
    default_ttl_s: Option<i64>,
    /// Longest lifetime, in seconds; null is no limit.
    max_ttl_s: Option<i64>,
    /// Whether a token may never expire.
    allow_never: bool,
    /// The prefix of new tokens.
    #[schema(example = "tsr")]
    prefix: String,
    /// Whether no two tokens may share a name.
    unique_names: bool,
}

impl From<WorkspaceOverview> for WorkspaceOverviewBody {
    fn from(overview: WorkspaceOverview) -> Self {
        let policy = overview.policy;
        Self {
            workspace: WorkspaceCard {
                workspace: overview.workspace,
                role: overview.role,
                may_manage_tokens: overview.may_manage_tokens,
                counts: overview.counts,
            }
            .into(),
            policy: PolicyBody {
                max_tokens: policy.max_tokens,
                default_ttl_s: policy.default_ttl_s,
                max_ttl_s: policy.max_ttl_s,
                allow_never: policy.allow_never,
                prefix: policy.prefix,
                unique_names: policy.unique_names,
            },
        }
    }
}

/// How much harm a scope can do in the wrong hands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Risk)]
pub(crate) enum RiskBody {
    /// Looks.
    Read,
    /// Changes or starts something.
    Write,
    /// Manages access, or cannot be undone.
    Admin,
}

/// One permission.
#[derive(Serialize, ToSchema)]
#[schema(as = Scope)]
pub(crate) struct ScopeBody {
    /// Its name.
    #[schema(example = "rivers:write")]
    name: String,
    /// The access that it gives.
    description: String,
    /// How much harm it can do.
    risk: RiskBody,
    /// Scopes that come with it.
    implies: Vec<String>,
}

/// Scopes that belong together.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopeGroup)]
pub(crate) struct ScopeGroupBody {
    /// The heading.
    name: String,
    /// What the group is about.
    description: String,
    /// Its scopes.
    scopes: Vec<ScopeBody>,
}

/// One API that tokens are meant for, with the scopes that it knows.
#[derive(Serialize, ToSchema)]
#[schema(as = Audience)]
pub(crate) struct AudienceBody {
    /// Its name in requests.
    #[schema(example = "default")]
    audience: String,
    /// Its name for people.
    name: String,
    /// What the API does.
    description: String,
    /// Its scopes, in groups.
    groups: Vec<ScopeGroupBody>,
}

impl From<Scope> for ScopeBody {
    fn from(scope: Scope) -> Self {
        Self {
            name: scope.name.into(),
            description: scope.description.into(),
            risk: match scope.risk {
                Risk::Read => RiskBody::Read,
                Risk::Write => RiskBody::Write,
                Risk::Admin => RiskBody::Admin,
            },
            implies: texts(scope.implies),
        }
    }
}

impl From<ScopeGroup> for ScopeGroupBody {
    fn from(group: ScopeGroup) -> Self {
        Self {
            name: group.name.into(),
            description: group.description.into(),
            scopes: group.scopes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Catalogue> for AudienceBody {
    fn from(catalogue: Catalogue) -> Self {
        Self {
            audience: catalogue.audience.into(),
            name: catalogue.name.into(),
            description: catalogue.description.into(),
            groups: catalogue.groups.into_iter().map(Into::into).collect(),
        }
    }
}

/// Audiences.
#[derive(Serialize, ToSchema)]
#[schema(as = AudienceList)]
pub(crate) struct AudienceListBody {
    /// All of them.
    pub(super) items: Vec<AudienceBody>,
    /// Always null: the list has one page.
    pub(super) next: Option<String>,
}

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
    "audiences": ["default"],
    "scopes": ["rivers:run"],
    "expires_at": "2027-08-18T12:00:00Z"
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
    /// The APIs that it is meant for.
    audiences: Vec<String>,
    /// Its scopes and all that they imply.
    scopes: Vec<String>,
    /// Its end; null when it never expires.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

/// What a verification answers for any other: no more than the reason.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedToken, example = json!({"valid": false, "code": "INSUFFICIENT_SCOPE"}))]
pub(crate) struct RefusedBody {
    /// Always false.
    valid: bool,
    /// Why not.
    code: CodeBody,
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

impl VerificationBody {
    /// The answer to this decision. Facts are told only with a `VALID` one.
    pub(super) fn of(code: DecisionCode, facts: Option<&Facts>) -> Self {
        match facts {
            Some(facts) if code == DecisionCode::Valid => Self::Valid(Box::new(ValidBody {
                valid: true,
                code: code.into(),
                token_id: facts.token_id.0,
                workspace: facts.workspace.to_string(),
                user: facts.user.clone().into(),
                audiences: texts(facts.audiences.iter().cloned()),
                scopes: texts(facts.granted.iter().cloned()),
                expires_at: facts.expires_at,
            })),
            _ => Self::Refused(RefusedBody { valid: false, code: code.into() }),
        }
    }
}

/// What is wrong with one value of a request.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldError)]
pub(crate) struct FieldErrorBody {
    /// The field's name in the request; nested ones are joined by dots.
    #[schema(example = "name")]
    field: String,
    /// What is wrong, as the end of a sentence that begins with the field's name.
    #[schema(example = "must not be empty")]
    message: String,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:tessera:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code's summary.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong, for programs. Codes never change their meaning.
    code: String,
    /// What went wrong this time and what to do about it, for people.
    detail: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldErrorBody>,
    /// Seconds after which a further attempt makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    /// The request's id, as in the header `x-request-id` and the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl ProblemBody {
    /// An example for the documentation.
    pub(super) fn example(mut problem: Problem) -> Value {
        problem.request_id = Some("6f1f64a3-7d0f-4f0e-9a53-2f5d8c1d9b11".to_owned());
        json!(problem)
    }
}

/// A token as the examples show it.
pub(crate) fn token_example() -> Value {
    json!({
        "id": "0198c2c4-7a00-7000-8000-00000000002a",
        "num": 42,
        "workspace": "workspace-1",
        "name": "deploy-bot",
        "description": "Runs rivers after a deployment",
        "user": {
            "id": "0198c2c4-7a00-7000-8000-000000000001",
            "email": "ada@example.com",
            "name": "Ada"
        },
        "created_by": {
            "id": "0198c2c4-7a00-7000-8000-000000000001",
            "email": "ada@example.com",
            "name": "Ada"
        },
        "audiences": ["default"],
        "scopes": ["rivers:run"],
        "enabled": true,
        "active": true,
        "state": "active",
        "hint": "tsr_…a1B2",
        "not_before": null,
        "expires_at": "2027-08-18T12:00:00Z",
        "ip_allow": ["10.0.0.0/8"],
        "last_used_at": null,
        "last_used_ip": null,
        "created_at": "2026-08-18T12:00:00Z",
        "updated_at": "2026-08-18T12:00:00Z"
    })
}

fn texts<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(Into::into).collect()
}
