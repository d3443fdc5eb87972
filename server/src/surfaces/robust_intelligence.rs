//! The Robust Intelligence surface: `/v1/users/api-tokens`, and the requests that its SDK sends
//! before that.
//!
//! - A token belongs to a workspace and acts as a user. A request that names no workspace means the
//!   workspace of the calling token, which cannot reach any other; the user is that token's, too.
//! - This API has no scopes: a new token may do what the calling token may do at the time. Narrower
//!   tokens are created with Tessera's own API or in the console.
//! - Errors are those of gRPC, and their HTTP status follows from the code. Unknown fields are
//!   ignored, and numbers may be strings, as in the JSON of protocol buffers.
//! - The SDK's client requests `/v1/rime-info` and the limit on expiry when it is created: Tessera
//!   returns its own name and version, and has no licence that could expire.

mod errors;
mod shapes;

use authority::Facts;
use authority::{Actor, OpContext, ServiceError, Surface, TokenDraft};
use axum::{
    Json,
    extract::{FromRequestParts, State},
};
use domain::{
    expiry::ExpiryChoice,
    ids::TokenId,
    names::Slug,
    policy::DAY_S,
    problem::FieldError,
    token_query::{LIMIT_MAX, TokenQuery},
};
use http::request::Parts;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{
    errors::Errors,
    shapes::{
        CreatedBody, Empty, InfoBody, LimitBody, ListQuery, NewToken, TokenInfo, TokenListBody,
    },
};
use super::{caller::by_token, words::renamed};
use crate::{
    http::extract::{ApiJson, ApiPath, ApiQuery},
    problem::ApiError,
    state::AppState,
};

pub(super) use errors::envelope;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tessera for clients of Robust Intelligence",
        description = "Robust Intelligence's API for API tokens, served by Tessera. The calling token needs the scope `tokens:write` of the audience `tessera`."
    ),
    components(schemas(errors::ErrorBody)),
    tags(
        (name = "User", description = "Create, list and delete API tokens."),
        (name = "Cluster", description = "Operations that the SDK's client calls when it is created."),
    )
)]
pub(super) struct Document;

/// The names of the service's fields in this API.
const FIELDS: &[(&str, &str)] =
    &[("expires_at", "expiryDays"), ("limit", "pageSize"), ("cursor", "pageToken")];
/// The default number of rows per page.
const PAGE_SIZE: u16 = 100;

/// Returns the operations of this surface.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_api_tokens, create_api_token))
        .routes(routes!(delete_api_token))
        .routes(routes!(rime_info))
        .routes(routes!(limit_status))
}

/// The caller.
pub(super) struct Caller(OpContext);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        by_token(parts, state, Surface::RobustIntelligence).await.map(Self)
    }
}

impl Caller {
    /// Returns the facts of the calling token.
    fn facts(&self) -> Result<&Facts, ServiceError> {
        match &self.0.actor {
            Actor::Token(facts) => Ok(facts),
            _ => Err(ServiceError::Unauthenticated),
        }
    }

    /// Returns the workspace with this ID, or the caller's own if there is no ID. A token reaches
    /// only its own workspace.
    fn workspace(&self, wanted: Option<Uuid>) -> Result<Slug, ServiceError> {
        let facts = self.facts()?;
        match wanted {
            Some(id) if id != facts.surroundings.workspace_id.0 => {
                Err(ServiceError::NotFound("workspace"))
            }
            _ => Ok(facts.surroundings.workspace.clone()),
        }
    }
}

fn refused(error: ServiceError) -> ApiError {
    renamed(error, FIELDS)
}

/// Create an API token
///
/// It may do what the calling token may do. The response contains its text, which is shown only
/// once.
#[utoipa::path(
    post,
    path = "/v1/users/api-tokens",
    operation_id = "CreateAPIToken",
    tag = "User",
    request_body = NewToken,
    responses((status = 200, description = "The token's ID and its text", body = CreatedBody), Errors),
)]
async fn create_api_token(
    State(state): State<AppState>,
    caller: Caller,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<Json<CreatedBody>, ApiError> {
    let workspace = caller.workspace(body.workspace_id.as_ref().and_then(|id| id.uuid))?;
    let draft = draft(body, caller.facts()?)?;
    let minted =
        state.authority.tokens().create(&caller.0, &workspace, draft).await.map_err(refused)?;
    Ok(Json(minted.into()))
}

fn draft(body: NewToken, asks: &Facts) -> Result<TokenDraft, ApiError> {
    let mut errors = Vec::new();
    if body.token_type.unwrap_or_default().is_of_an_agent()
        || body.agent_id.is_some_and(|id| id.uuid.is_some())
    {
        let message = "must be TOKEN_TYPE_USER: Tessera has no agents";
        errors.push(FieldError::new("tokenType", message));
    }
    let expiry = match body.expiry_days.map(|days| days.0) {
        // Protocol buffers do not distinguish 0 from absent.
        None | Some(0) => ExpiryChoice::Default,
        Some(days) => ExpiryChoice::In(days.saturating_mul(DAY_S)),
    };
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    Ok(TokenDraft { name: body.name, expiry: Ok(expiry), ..TokenDraft::like(asks) })
}

/// List API tokens
///
/// Lists the tokens of a workspace, newest first, in pages, without their text.
#[utoipa::path(
    get,
    path = "/v1/users/api-tokens",
    operation_id = "ListAPITokens",
    tag = "User",
    params(ListQuery),
    responses((status = 200, description = "A page of tokens", body = TokenListBody), Errors),
)]
async fn list_api_tokens(
    State(state): State<AppState>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<TokenListBody>, ApiError> {
    let workspace = caller.workspace(query.workspace_id)?;
    let facts = caller.facts()?;
    let limit = match query.page_size.map(|size| size.0) {
        None | Some(0) => PAGE_SIZE,
        // A page may have fewer rows than requested.
        Some(size) if size > 0 => u16::try_from(size).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
        Some(_) => {
            let error = FieldError::new("pageSize", "must not be negative");
            return Err(ApiError::invalid(vec![error]));
        }
    };
    let wanted = TokenQuery { limit, cursor: query.page_token, ..TokenQuery::default() };
    let tokens = state.authority.tokens();
    let mut page = tokens.list(&caller.0, &workspace, &wanted).await.map_err(refused)?;
    if query.token_type.unwrap_or_default().is_of_an_agent() {
        page.items.clear();
        page.next = None;
    }
    let infos =
        page.items.into_iter().map(|token| TokenInfo::of(token, facts.surroundings.workspace_id));
    Ok(Json(TokenListBody::new(infos.collect(), page.next)))
}

/// Delete an API token
///
/// The token is deleted permanently: it can never be used again.
#[utoipa::path(
    delete,
    path = "/v1/users/api-tokens/{id}",
    operation_id = "DeleteAPIToken",
    tag = "User",
    params(("id" = Uuid, Path, description = "The token's ID")),
    responses((status = 200, description = "The token was deleted", body = Empty), Errors),
)]
async fn delete_api_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
) -> Result<Json<Empty>, ApiError> {
    state.authority.tokens().delete(&context, id, None).await?;
    Ok(Json(Empty {}))
}

/// Show the server's name and version
///
/// Tessera and its version. There is no licence, so its expiry is the latest possible date.
#[utoipa::path(
    get,
    path = "/v1/rime-info",
    operation_id = "GetRIMEInfo",
    tag = "Cluster",
    responses((status = 200, description = "The server's name and version", body = InfoBody), Errors),
)]
async fn rime_info(caller: Caller) -> Result<Json<InfoBody>, ApiError> {
    Ok(Json(InfoBody::to(caller.facts()?)))
}

/// Show a limit of the licence
///
/// There is no licence, so no limit is ever reached.
#[utoipa::path(
    get,
    path = "/v1/feature-flags/{customer}/limits/{limit}",
    operation_id = "GetLimitStatus",
    tag = "Cluster",
    params(
        ("customer" = String, Path, description = "`customerName` of `/v1/rime-info`: the workspace's slug", example = "workspace-1"),
        ("limit" = String, Path, description = "The limit", example = "LICENSE_LIMIT_EXPIRATION"),
    ),
    responses((status = 200, description = "The limit", body = LimitBody), Errors),
)]
async fn limit_status(
    caller: Caller,
    ApiPath((customer, limit)): ApiPath<(String, String)>,
) -> Result<Json<LimitBody>, ApiError> {
    let facts = caller.facts()?;
    if customer != facts.surroundings.workspace.as_ref() || limit != shapes::EXPIRATION {
        return Err(ServiceError::NotFound("limit").into());
    }
    Ok(Json(LimitBody::reached_never()))
}
