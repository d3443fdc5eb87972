//! Tokens and the users that they act as.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use domain::{
    catalogue::ScopeName,
    held::{HELD_MAX, HeldScopes},
    names::AudienceSlug,
    rate_limit::{RateLimit, RateLimitError},
    tags::{TAG_KEY_MAX, TAG_VALUE_MAX, TAGS_MAX},
    token::{Page, Standing, Stop, Token, TokenState, UserSummary},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::{
    ToSchema,
    openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Type},
};
use uuid::Uuid;

use super::texts;

/// A user, as other records name them.
#[derive(Serialize, ToSchema)]
#[schema(as = User, example = json!({
    "id": "0198c2c4-7a00-7000-8000-000000000001", "email": "ada@example.com", "name": "Ada"
}))]
pub(crate) struct UserBody {
    /// The user's ID.
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

/// A token's rate limit: `limit` uses at once, and one more for each `window_s / limit` seconds
/// that pass.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimit, example = json!({"limit": 600, "window_s": 60}))]
pub(crate) struct RateLimitBody {
    /// Uses per window.
    #[schema(minimum = 1, maximum = 1_000_000)]
    limit: i64,
    /// The window in seconds.
    #[schema(minimum = 1, maximum = 86_400)]
    window_s: i64,
}

impl RateLimitBody {
    /// Returns the limit, or what is wrong with it.
    pub(in crate::http::rest) fn parse(&self) -> Result<RateLimit, RateLimitError> {
        RateLimit::new(self.limit, self.window_s)
    }
}

impl From<RateLimit> for RateLimitBody {
    fn from(rate: RateLimit) -> Self {
        Self { limit: rate.limit().into(), window_s: rate.window_s().into() }
    }
}

/// Whether a token can be used now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TokenState)]
pub(crate) enum StateBody {
    /// Enabled, already valid, and not expired.
    Active,
    /// Disabled.
    Disabled,
    /// Past its expiry.
    Expired,
    /// Not valid yet.
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

/// The capacity in which a user stopped a token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Standing)]
pub(crate) enum StandingBody {
    /// As an administrator over the token's owner, who cannot undo it.
    Administrator,
    /// As the token's owner, the user that it acts as.
    Owner,
    /// By a rule of policy.
    Policy,
}

/// The user who stopped a token, and their standing.
#[derive(Serialize, ToSchema)]
#[schema(as = Stop)]
pub(crate) struct StopBody {
    /// The user; null for the command line and for policy.
    user: Option<UserBody>,
    /// The standing.
    standing: StandingBody,
}

impl From<Stop> for StopBody {
    fn from(stop: Stop) -> Self {
        let standing = match stop.standing {
            Standing::Administrator => StandingBody::Administrator,
            Standing::Owner => StandingBody::Owner,
            Standing::Policy => StandingBody::Policy,
        };
        Self { user: stop.user.map(Into::into), standing }
    }
}

/// A token's record, which never contains its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = token_example)]
pub(crate) struct TokenBody {
    /// Its ID, which never changes.
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
    /// The user who created it; null if it was created on the command line.
    created_by: Option<UserBody>,
    /// The ID of the token that created it; null if a person or the command line did.
    parent: Option<Uuid>,
    /// Its scopes for each API that it is meant for, without the scopes that they imply.
    #[schema(schema_with = grants_schema)]
    grants: BTreeMap<String, Vec<String>>,
    /// The APIs that it is meant for: a flat view of `grants`.
    audiences: Vec<String>,
    /// The names of its scopes in all of these APIs: a flat view of `grants`.
    scopes: Vec<String>,
    /// Whether it is enabled.
    enabled: bool,
    /// The user or rule that disabled it; null if it is enabled or this was not recorded.
    disabled_by: Option<StopBody>,
    /// The user or rule that expired it or gave it an earlier expiry; null if there is none or this
    /// was not recorded.
    ended_by: Option<StopBody>,
    /// Whether it can be used now.
    active: bool,
    /// Its current state.
    state: StateBody,
    /// Prefix and last four characters of its secret, to distinguish it from other tokens.
    hint: String,
    /// Whether its secret can be shown again, if the current policy allows it.
    recoverable: bool,
    /// Not valid before this time; null if it is valid from its creation.
    #[serde(with = "domain::moments::option")]
    not_before: Option<OffsetDateTime>,
    /// Not valid from this time on; null if it never expires.
    #[serde(with = "domain::moments::option")]
    expires_at: Option<OffsetDateTime>,
    /// Addresses and networks from which it may be used. Empty means from anywhere.
    ip_allow: Vec<String>,
    /// How often it may be used; null means no limit.
    rate_limit: Option<RateLimitBody>,
    /// The tags that people and programs attached to it.
    tags: BTreeMap<String, String>,
    /// Until when the secret that a rotation replaced still works; null if there is none.
    #[serde(with = "domain::moments::option")]
    grace_until: Option<OffsetDateTime>,
    /// Prefix and last four characters of that secret.
    older_hint: Option<String>,
    /// When its secret was last replaced.
    #[serde(with = "time::serde::rfc3339::option")]
    rotated_at: Option<OffsetDateTime>,
    /// When a replaced secret was presented after its grace, which means that it may have leaked.
    #[serde(with = "time::serde::rfc3339::option")]
    reused_at: Option<OffsetDateTime>,
    /// When it was last verified with the code `VALID`, to within two minutes.
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    /// The caller's address at that time.
    #[schema(value_type = Option<String>)]
    last_used_ip: Option<IpAddr>,
    /// The caller's program at that time, from its `User-Agent`.
    last_used_agent: Option<String>,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When its record last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    /// A number that grows with every change; also the `ETag`.
    version: i64,
}

fn grants(held: &HeldScopes) -> BTreeMap<String, Vec<String>> {
    let of = |(audience, scopes): (&AudienceSlug, &BTreeSet<ScopeName>)| {
        (audience.to_string(), texts(scopes.iter().cloned()))
    };
    held.iter().map(of).collect()
}

/// Returns the JSON Schema of scopes by audience.
pub(crate) fn grants_schema() -> Object {
    grants_of(ArrayBuilder::new().items(Object::with_type(Type::String)))
}

/// Returns the JSON Schema of scopes by audience for a new token, which limits their number.
pub(crate) fn new_grants_schema() -> Object {
    let scopes = ArrayBuilder::new().items(Object::with_type(Type::String));
    grants_of(scopes.max_items(Some(HELD_MAX)))
}

fn grants_of(scopes: ArrayBuilder) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Scopes by audience"))
        .additional_properties(Some(scopes))
        .examples([json!({"default": ["rivers:run"]})])
        .build()
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
            grants: grants(&token.grants),
            parent: token.parent.map(|parent| parent.0),
            audiences: texts(token.audiences),
            scopes: texts(token.scopes),
            enabled: token.enabled,
            disabled_by: token.disabled_by.map(Into::into),
            ended_by: token.ended_by.map(Into::into),
            active: token.active,
            state: token.state.into(),
            hint: token.hint,
            recoverable: token.recoverable,
            not_before: token.not_before,
            expires_at: token.expires_at,
            ip_allow: token.ip_allow.iter().map(ToString::to_string).collect(),
            rate_limit: token.rate_limit.map(Into::into),
            tags: token.tags.into(),
            grace_until: token.grace_until,
            older_hint: token.older_hint,
            rotated_at: token.rotated_at,
            reused_at: token.reused_at,
            last_used_at: token.last_used_at,
            last_used_ip: token.last_used_ip,
            last_used_agent: token.last_used_agent,
            created_at: token.created_at,
            updated_at: token.updated_at,
            version: token.version,
        }
    }
}

/// Returns the JSON Schema of tags.
pub(crate) fn tags_schema() -> Object {
    let value = ObjectBuilder::new().schema_type(Type::String).max_length(Some(TAG_VALUE_MAX));
    ObjectBuilder::new()
        .max_properties(Some(TAGS_MAX))
        .additional_properties(Some(value))
        .description(Some(format!(
            "Notes by people and programs: up to {TAGS_MAX} pairs, with keys of 1 to {TAG_KEY_MAX} \
             characters."
        )))
        .build()
}

/// One page of tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenPage)]
pub(crate) struct TokenPageBody {
    /// The rows.
    items: Vec<TokenBody>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

impl From<Page<Token>> for TokenPageBody {
    fn from(page: Page<Token>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// Returns the token that the examples show.
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
        "grants": {"default": ["rivers:run"]},
        "parent": null,
        "audiences": ["default"],
        "scopes": ["rivers:run"],
        "enabled": true,
        "disabled_by": null,
        "ended_by": null,
        "active": true,
        "state": "active",
        "hint": "tsr_…a1B2",
        "recoverable": false,
        "not_before": null,
        "expires_at": "2027-08-18T12:00:00Z",
        "ip_allow": ["10.0.0.0/8"],
        "rate_limit": {"limit": 600, "window_s": 60},
        "tags": {"team": "payments"},
        "grace_until": null,
        "older_hint": null,
        "rotated_at": null,
        "reused_at": null,
        "last_used_at": null,
        "last_used_ip": null,
        "last_used_agent": null,
        "created_at": "2026-08-18T12:00:00Z",
        "updated_at": "2026-08-18T12:00:00Z",
        "version": 1
    })
}
