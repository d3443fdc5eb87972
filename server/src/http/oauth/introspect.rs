//! `POST /oauth2/introspect` (RFC 7662)

use std::collections::BTreeMap;

use authority::Facts;
use authority::{Introspected, Surface};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ErrorBody,
    credential::{caller, credential},
    form::{FormBody, TokenForm},
};
use crate::{
    http::{
        again::Again,
        body,
        caller::anonymous,
        refusals::Asker,
        rest::schema::{granted, grants_schema, names},
    },
    problem::ApiError,
    state::AppState,
};

/// An active token.
#[derive(Serialize, ToSchema)]
#[schema(as = ActiveToken, example = json!({
    "active": true,
    "scope": "rivers:read rivers:write",
    "client_id": "0198c2c4-7a00-7000-8000-00000000002a",
    "username": "ada@example.com",
    "token_type": "Bearer",
    "exp": 1_818_590_400,
    "iat": 1_787_054_400,
    "sub": "0198c2c4-7a00-7000-8000-000000000001",
    "aud": ["default"],
    "grants": {"default": ["rivers:read", "rivers:write"]},
    "iss": "https://tessera.example.com",
    "jti": "0198c2c4-7a00-7000-8000-00000000002a"
}))]
pub(super) struct ActiveBody<'a> {
    /// Always true.
    active: bool,
    /// The names of its scopes and of all scopes that they imply, in all its APIs, separated by
    /// spaces. For a token with several APIs, `grants` says which API each scope is for.
    scope: String,
    /// The token's id: each token is its own client.
    client_id: Uuid,
    /// The e-mail address of the user that it acts as.
    username: &'a str,
    /// Always `Bearer`.
    token_type: &'static str,
    /// When it expires, in seconds since 1970; absent if it never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// When its secret was created.
    iat: i64,
    /// When it became valid, if not at its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nbf: Option<i64>,
    /// The ID of the user that it acts as.
    sub: Uuid,
    /// The APIs that it is meant for. An API must check that it is one of them.
    aud: Vec<&'a str>,
    /// The scopes that it may use, for each API in `aud`.
    #[schema(schema_with = grants_schema)]
    grants: BTreeMap<&'a str, Vec<&'a str>>,
    /// This server's address.
    iss: &'a str,
    /// The token's ID.
    jti: Uuid,
    /// Present if the response comes from memory while the database is unreachable (setting
    /// `stale_grace`): the number of seconds for which the server has been unable to confirm that
    /// nothing was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stale_s: Option<u64>,
}

/// Any other token, without further information.
#[derive(Serialize, ToSchema)]
#[schema(as = InactiveToken, example = json!({"active": false}))]
#[serde(deny_unknown_fields)]
pub(super) struct InactiveBody {
    /// Always false.
    active: bool,
}

/// The response to an introspection.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Introspection)]
pub(super) enum IntrospectionBody<'a> {
    /// The token is active.
    Active(Box<ActiveBody<'a>>),
    /// The token is not active, or the caller may not introspect it.
    Inactive(InactiveBody),
}

/// The caller, authenticated before the form is read, so that an unauthenticated client learns
/// nothing about the form.
pub(super) struct Introspector(authority::OpContext);

impl FromRequestParts<AppState> for Introspector {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let context = anonymous(parts, state, Surface::OAuth2).await;
        let token = credential(&parts.headers).map_err(ApiError::or_basic)?;
        let context = match &token {
            Some(token) => caller(state, context, token).await.map_err(ApiError::or_basic)?,
            None => context,
        };
        Asker::tell(&parts.extensions, &context);
        context.authenticated().map_err(|error| ApiError::from(error).or_basic())?;
        let again = Again::token(token.as_deref().unwrap_or_default());
        body::admit(&mut parts.extensions, state, &context, again)?;
        Ok(Self(context))
    }
}

/// Introspect a token
///
/// Reports whether a token is active (RFC 7662). The response is just `{"active":false}` for every
/// token that is not active and for tokens of workspaces that the caller may not introspect. A
/// token that is bound to addresses is not active here, because the request cannot name an
/// address. The token's rate limit is neither checked nor consumed. Check `aud` and `grants`
/// yourself: the request names neither an audience nor scopes. Needs the scope `verify` of the
/// audience `tessera`.
#[utoipa::path(
    post,
    path = "/oauth2/introspect",
    operation_id = "introspect",
    tag = "OAuth",
    security(("bearer" = []), ("token" = []), ("rime-api-key" = []), ("basic" = [])),
    request_body(content = FormBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Information about the token", body = IntrospectionBody<'static>),
        (status = 400, description = "The form contains no token or two tokens, or the request contains two different credentials", body = ErrorBody),
        (status = 401, description = "The credential is missing or not accepted", body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer` (RFC 6750) and `Basic` (RFC 7617)"))),
        (status = 403, description = "The caller may not verify tokens in any workspace", body = ErrorBody,
            headers(("WWW-Authenticate" = Option<String>, description = "With `error=\"insufficient_scope\"` (RFC 6750)"))),
        (status = 413, description = "The form is larger than 65,536 bytes", body = ErrorBody),
        (status = 415, description = "The body is not a form", body = ErrorBody),
        (status = 429, description = "The caller's own token has reached its rate limit, or the caller sent too many unknown tokens", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 500, description = "An internal error", body = ErrorBody),
        (status = 503, description = "Tessera cannot reach its database", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds"))),
    ),
)]
pub(super) async fn introspect(
    State(state): State<AppState>,
    Introspector(context): Introspector,
    TokenForm(token): TokenForm,
) -> Result<Response, ApiError> {
    let verification = state.authority.verification();
    let found = verification.introspect(&context, &token).await.map_err(ApiError::from)?;
    let body = match &found {
        Some(Introspected { facts, stale }) => {
            let public_url = state.config.public_url.as_str();
            IntrospectionBody::active(facts, stale.map(|stale| stale.as_secs()), public_url)
        }
        None => IntrospectionBody::Inactive(InactiveBody { active: false }),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

impl<'a> IntrospectionBody<'a> {
    fn active(facts: &'a Facts, stale_s: Option<u64>, public_url: &'a str) -> Self {
        let ends = [facts.expires_at, facts.secret.expires_at];
        Self::Active(Box::new(ActiveBody {
            active: true,
            scope: names(facts.surroundings.all_granted()).join(" "),
            client_id: facts.token_id.0,
            username: &facts.surroundings.user.email,
            token_type: "Bearer",
            exp: ends.into_iter().flatten().min().map(OffsetDateTime::unix_timestamp),
            iat: facts.secret.created_at.unix_timestamp(),
            nbf: facts.not_before.map(OffsetDateTime::unix_timestamp),
            sub: facts.surroundings.user.id.0,
            aud: names(facts.surroundings.audiences()),
            grants: granted(facts),
            iss: public_url.trim_end_matches('/'),
            jti: facts.token_id.0,
            stale_s,
        }))
    }
}
