//! `POST /api/v1/workspaces/{ws}/tokens`

use std::collections::BTreeMap;

use authority::{OpContext, Purpose, TokenDraft};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    expiry::{self, ExpiryChoice, ExpiryError},
    names::Slug,
    problem::FieldError,
};
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, Object},
        idempotency::{IdempotencyKeyHeader, Repeatable},
        rest::{
            errors::WriteErrors,
            schema::{
                AudienceText, MintedBody, RateLimitBody, ScopeText, new_grants_schema, tags_schema,
            },
            tagged::Minted,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// A token to create. Only the name is required, plus what policy demands.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "deploy-bot",
    "description": "Runs rivers after a deployment",
    "grants": {"default": ["rivers:run"]},
    "expires_in_s": 7_776_000,
    "ip_allow": ["10.0.0.0/8"],
    "rate_limit": {"limit": 600, "window_s": 60},
    "tags": {"team": "payments"}
}))]
pub(crate) struct NewToken {
    /// Its name: 1 to 128 characters on one line.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// What it is for: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    description: String,
    /// E-mail address or ID of the user that it acts as. If absent, it acts as the caller.
    #[serde(default)]
    user: Option<String>,
    /// Its scopes, by the API that they are for: at most 1,000 in all, whose names total at most
    /// 65,536 bytes. Cannot be combined with `audiences` and `scopes`.
    #[serde(default)]
    #[schema(schema_with = new_grants_schema)]
    grants: Option<BTreeMap<String, Vec<String>>>,
    /// In place of `grants`: the APIs that it is meant for; `["default"]` if empty.
    #[serde(default)]
    #[schema(value_type = Vec<AudienceText>)]
    audiences: Vec<String>,
    /// In place of `grants`: its scopes, at least one. The token holds each of them for every one
    /// of `audiences` that declares it, and each counts there. A scope that both `tessera` and
    /// another of these audiences declare is refused. A calling token can grant only scopes that it
    /// holds itself.
    #[serde(default)]
    #[schema(value_type = Vec<ScopeText>, max_items = 1_000)]
    scopes: Vec<String>,
    /// When it expires: an RFC 3339 timestamp, a date (the end of that day, UTC), or `never`. If
    /// neither this nor `expires_in_s` is given, policy decides.
    #[serde(default)]
    expires_at: Option<String>,
    /// When it expires, in seconds from now. Cannot be combined with `expires_at`.
    #[serde(default)]
    #[schema(minimum = 1)]
    expires_in_s: Option<i64>,
    /// Not valid before this time (RFC 3339). If absent, it is valid immediately.
    #[serde(default)]
    #[schema(format = DateTime)]
    not_before: Option<String>,
    /// Addresses and networks (CIDR) from which it may be used. Empty means from anywhere.
    #[serde(default)]
    #[schema(max_items = 32)]
    ip_allow: Vec<String>,
    /// How often it may be used. If absent, there is no limit.
    #[serde(default)]
    #[schema(value_type = Option<RateLimitBody>)]
    rate_limit: Option<Object<RateLimitBody>>,
    /// Whether to keep its secret, sealed, so that it can be shown again. Policy must allow this.
    #[serde(default)]
    recoverable: bool,
    /// Tags to attach: up to 32 pairs, keys of 1 to 64 characters, values of up to 256.
    #[serde(default)]
    #[schema(schema_with = tags_schema)]
    tags: BTreeMap<String, String>,
}

/// Create a token
///
/// The response contains the token's secret, which is shown once. If the response is lost, a
/// request with an `Idempotency-Key` can be repeated within 24 hours: it does not create a second
/// token, and it returns the same response to callers who may still hold the secret. If policy
/// shows secrets only once, the secret is returned again for only ten minutes; after that the
/// response is 403 `reveal_not_allowed`. Responses 401, 403, 404, 408, 409, 412, 429 and 5xx are
/// not kept under the key: send the same request again, and it is carried out. Needs the scope
/// `tokens:write` of the audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/workspaces/{ws}/tokens",
    operation_id = "createToken",
    tag = "Tokens",
    params(
        ("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"),
        IdempotencyKeyHeader,
    ),
    request_body = NewToken,
    responses(
        (status = 201, description = "The token was created", body = MintedBody,
            headers(
                ("Location" = String, description = "The token's path"),
                ("ETag" = String, description = "The token's version"),
                ("Idempotency-Replayed" = Option<String>, description = "`true` if the request was repeated and this is the response to the first one"),
            )),
        WriteErrors,
    ),
)]
pub(crate) async fn create_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    repeatable: Repeatable,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<Response, ApiError> {
    let authority = state.authority.clone();
    let (of, to) = (context.clone(), workspace.clone());
    repeatable
        .once(&authority, &of, Purpose::NewTokens(&to), |operation| {
            create(state, context, workspace, body, operation)
        })
        .await
}

async fn create(
    state: AppState,
    context: OpContext,
    workspace: Slug,
    body: NewToken,
    operation: Option<Uuid>,
) -> Result<impl IntoResponse, ApiError> {
    let draft = body.draft(operation)?;
    let minted = state.authority.tokens().create(&context, &workspace, draft).await?;
    let location = format!("/api/v1/tokens/{}", minted.token.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Minted(minted)))
}

impl NewToken {
    fn draft(self, creation_key: Option<Uuid>) -> Result<TokenDraft, ApiError> {
        Ok(TokenDraft {
            expiry: self.expiry()?,
            name: self.name,
            description: self.description,
            user: self.user,
            grants: self.grants,
            audiences: self.audiences,
            scopes: self.scopes,
            not_before: self.not_before,
            ip_allow: self.ip_allow,
            rate_limit: self.rate_limit.map(|Object(rate)| rate.parse()).transpose(),
            recoverable: self.recoverable.into(),
            tags: self.tags,
            creation_key,
            ..TokenDraft::default()
        })
    }

    fn expiry(&self) -> Result<Result<ExpiryChoice, ExpiryError>, ApiError> {
        match (&self.expires_at, self.expires_in_s) {
            (None, None) => Ok(Ok(ExpiryChoice::Default)),
            (Some(text), None) => Ok(expiry::parse(text)),
            (None, Some(seconds)) => Ok(Ok(ExpiryChoice::In(seconds))),
            (Some(_), Some(_)) => Err(ApiError::invalid(vec![FieldError::new(
                "expires_in_s",
                "must not be given together with expires_at",
            )])),
        }
    }
}
