//! The Devo surface: `/ws/accounts/{account}/credentials/tokens`.
//!
//! - An account is a workspace, and its name is the whole slug: `child@parent` is one name.
//! - A request has `scopes`, a response has `scope`. Audiences and scopes are words in one string.
//! - A list never contains a token's value, but a single token does: tokens created here are
//!   recoverable if the policy allows it. Otherwise only the response to the POST contains the
//!   value.
//! - `expires_in_seconds` is the whole lifetime, not the remaining time.
//! - Unknown fields of a body are ignored, because clients may send more than they need to.
//! - An invalid value is a 400. Every response has an `x-devo-cid`, which is the request ID.

mod moment;
mod shapes;

use authority::{OpContext, Recoverable, ServiceError, Surface, TokenDraft, TokenPatch};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    response::Response,
};
use domain::{
    names::Slug,
    problem::{FieldError, Problem},
    token::Token,
    token_query::{LIMIT_MAX, TokenQuery, TokenSort},
};
use http::{Method, StatusCode, request::Parts};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::shapes::{Errors, NewName, NewToken, TokenBody};
use super::{
    caller::by_token,
    words::{renamed, told},
};
use crate::{
    http::{
        again::Again,
        extract::{ApiJson, ApiPath},
        pages,
    },
    problem::ApiError,
    state::AppState,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tessera for clients of Devo",
        description = "Devo's API for tokens, served by Tessera.\n\nThe calling token needs the scope `tokens:write` of the audience `tessera`, `tokens:reveal` to read values again, and every scope that it puts on tokens."
    ),
    components(schemas(shapes::ErrorBody)),
    tags((name = "Tokens", description = "Create, list, show, enable, disable, rename and delete tokens."))
)]
pub(super) struct Document;

/// The names of the service's fields in this API.
const FIELDS: &[(&str, &str)] = &[("audiences", "audience"), ("expires_at", "expiration")];

/// Returns the operations of this surface.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(show_token, delete_token))
        .routes(routes!(enable_token))
        .routes(routes!(disable_token))
        .routes(routes!(rename_token))
}

/// Formats an error for this surface.
pub(super) fn envelope(problem: &Problem) -> (StatusCode, Value) {
    let status = match problem.status {
        422 => StatusCode::BAD_REQUEST,
        other => StatusCode::from_u16(other).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    (status, json!({"error": {"code": status.as_u16(), "message": told(problem)}}))
}

/// The caller.
pub(super) struct Caller(OpContext);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        by_token(parts, state, Surface::Devo).await.map(Self)
    }
}

fn refused(error: ServiceError) -> ApiError {
    renamed(error, FIELDS)
}

/// Create a token
///
/// The response contains the token's value.
#[utoipa::path(
    post,
    path = "/ws/accounts/{account}/credentials/tokens",
    operation_id = "createToken",
    tag = "Tokens",
    params(("account" = String, Path, description = "The domain: the whole slug of a workspace", example = "child@parent")),
    request_body = NewToken,
    responses((status = 200, description = "The token, with its value", body = TokenBody), Errors),
)]
async fn create_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(account): ApiPath<Slug>,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<Json<TokenBody>, ApiError> {
    let draft = draft(body)?;
    let minted =
        state.authority.tokens().create(&context, &account, draft).await.map_err(refused)?;
    Ok(Json(TokenBody::with_value(minted)))
}

fn draft(body: NewToken) -> Result<TokenDraft, ApiError> {
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let audiences = words(&body.audience);
    if audiences.is_empty() {
        let error = FieldError::new("audience", "must name at least one audience");
        return Err(ApiError::invalid(vec![error]));
    }
    Ok(TokenDraft {
        name: body.name,
        user: Some(body.user),
        audiences,
        scopes: words(&body.scopes),
        expiry: moment::expiry(body.expiration.as_deref())?,
        recoverable: Recoverable::IfAllowed,
        ..TokenDraft::default()
    })
}

/// List tokens
///
/// Lists all tokens of the account, oldest first, without their values. Expired and disabled tokens
/// are not active.
#[utoipa::path(
    get,
    path = "/ws/accounts/{account}/credentials/tokens",
    operation_id = "listTokens",
    tag = "Tokens",
    params(("account" = String, Path, description = "The domain: the whole slug of a workspace", example = "child@parent")),
    responses((status = 200, description = "The tokens", body = Vec<TokenBody>), Errors),
)]
async fn list_tokens(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(account): ApiPath<Slug>,
    again: Again,
) -> Result<Response, ApiError> {
    let query = TokenQuery { sort: TokenSort::Oldest, limit: LIMIT_MAX, ..TokenQuery::default() };
    let first = state.authority.tokens().list(&context, &account, &query).await?;
    Ok(pages::list::<TokenBody, _>(first, move |cursor| {
        let (state, context, account) = (state.clone(), context.clone(), account.clone());
        let (again, query) = (again.clone(), TokenQuery { cursor: Some(cursor), ..query.clone() });
        async move {
            let context = again.renew(&state, &context).await?;
            state.authority.tokens().list(&context, &account, &query).await
        }
    }))
}

/// Show a token
///
/// The response contains the token's value if the token is recoverable. This requires the scope
/// `tokens:reveal`.
#[utoipa::path(
    get,
    path = "/ws/accounts/{account}/credentials/tokens/{id}",
    operation_id = "showToken",
    tag = "Tokens",
    params(
        ("account" = String, Path, description = "The domain: the whole slug of a workspace", example = "child@parent"),
        ("id" = i64, Path, description = "The token's number", example = 1),
    ),
    responses((status = 200, description = "The token, with its value", body = TokenBody), Errors),
)]
async fn show_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    method: Method,
    ApiPath((account, number)): ApiPath<(Slug, i64)>,
) -> Result<Json<TokenBody>, ApiError> {
    let token = numbered(&state, &context, &account, number).await?;
    // A HEAD response shows no value, so the audit log must not record that one was shown.
    if !token.recoverable || method == Method::HEAD {
        return Ok(Json(token.into()));
    }
    let revealed = state.authority.tokens().reveal(&context, token.id, None).await;
    Ok(Json(TokenBody::with_value(revealed.map_err(refused)?)))
}

/// Enable a token
#[utoipa::path(
    put,
    path = "/ws/accounts/{account}/credentials/tokens/{id}/enable",
    operation_id = "enableToken",
    tag = "Tokens",
    params(
        ("account" = String, Path, description = "The domain: the whole slug of a workspace", example = "child@parent"),
        ("id" = i64, Path, description = "The token's number", example = 1),
    ),
    responses((status = 200, description = "The token after the change", body = TokenBody), Errors),
)]
async fn enable_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((account, number)): ApiPath<(Slug, i64)>,
) -> Result<Json<TokenBody>, ApiError> {
    let token = numbered(&state, &context, &account, number).await?;
    let enabled = state.authority.tokens().enable(&context, token.id, None).await;
    Ok(Json(enabled.map_err(refused)?.into()))
}

/// Disable a token
///
/// The token is refused everywhere until it is enabled again.
#[utoipa::path(
    put,
    path = "/ws/accounts/{account}/credentials/tokens/{id}/disable",
    operation_id = "disableToken",
    tag = "Tokens",
    params(
        ("account" = String, Path, description = "The domain: the whole slug of a workspace", example = "child@parent"),
        ("id" = i64, Path, description = "The token's number", example = 1),
    ),
    responses((status = 200, description = "The token after the change", body = TokenBody), Errors),
)]
async fn disable_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((account, number)): ApiPath<(Slug, i64)>,
) -> Result<Json<TokenBody>, ApiError> {
    let token = numbered(&state, &context, &account, number).await?;
    Ok(Json(state.authority.tokens().disable(&context, token.id, None).await?.into()))
}

/// Rename a token
#[utoipa::path(
    put,
    path = "/ws/accounts/{account}/credentials/tokens/{id}/rename",
    operation_id = "renameToken",
    tag = "Tokens",
    params(
        ("account" = String, Path, description = "The domain: the whole slug of a workspace", example = "child@parent"),
        ("id" = i64, Path, description = "The token's number", example = 1),
    ),
    request_body = NewName,
    responses((status = 200, description = "The token after the change", body = TokenBody), Errors),
)]
async fn rename_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((account, number)): ApiPath<(Slug, i64)>,
    ApiJson(body): ApiJson<NewName>,
) -> Result<Json<TokenBody>, ApiError> {
    let token = numbered(&state, &context, &account, number).await?;
    let patch = TokenPatch { name: Some(body.name), ..TokenPatch::default() };
    let renamed = state.authority.tokens().update(&context, token.id, None, patch).await;
    Ok(Json(renamed.map_err(refused)?.into()))
}

/// Delete a token
///
/// The token is deleted permanently: it can never be used again.
#[utoipa::path(
    delete,
    path = "/ws/accounts/{account}/credentials/tokens/{id}",
    operation_id = "deleteToken",
    tag = "Tokens",
    params(
        ("account" = String, Path, description = "The domain: the whole slug of a workspace", example = "child@parent"),
        ("id" = i64, Path, description = "The token's number", example = 1),
    ),
    responses((status = 204, description = "The token was deleted"), Errors),
)]
async fn delete_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((account, number)): ApiPath<(Slug, i64)>,
) -> Result<StatusCode, ApiError> {
    let token = numbered(&state, &context, &account, number).await?;
    state.authority.tokens().delete(&context, token.id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the account's token with this number, if the caller may see it.
async fn numbered(
    state: &AppState,
    context: &OpContext,
    account: &Slug,
    number: i64,
) -> Result<Token, ServiceError> {
    state.authority.tokens().show_number(context, account, number).await
}
