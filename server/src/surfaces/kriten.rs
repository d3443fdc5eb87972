//! The Kriten surface: `/api/v1/api_tokens`, and `/api/v1/login` for people.
//!
//! Some of Kriten's behaviour is kept as it is: lists are bare arrays that `Content-Range` counts;
//! unknown fields are ignored, and `null` means the same as an absent field; a body is JSON
//! whatever its content type, except at the login (`login.rs`); times are Go's, whose zero means
//! "never"; an expiry in the past is accepted.
//!
//! Kriten lacks some of Tessera's concepts. They are mapped as follows:
//! - A workspace is a Kriten. A token's calls apply to its own workspace, a person's to the one
//!   that [`Workspaces::home`] returns.
//! - A token's name is the first line of its description. The name stays when the description
//!   changes.
//! - A token may do what its creator may do: its audiences are `default` and `tessera`, and its
//!   scopes are all of theirs that the creator may grant to tokens. A token that creates another
//!   token grants only what it has itself, audiences included.
//!
//! Cookies are not credentials here: nothing that a browser sends by itself changes anything.
//!
//! [`Workspaces::home`]: authority::Workspaces::home

mod body;
mod caller;
mod login;
mod name;
mod shapes;

use authority::{Actor, OpContext, ServiceError, TokenDraft, TokenPatch};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    expiry::ExpiryChoice,
    ids::{TokenId, UserId},
    names::{AudienceSlug, Slug},
    problem::{Problem, ProblemCode},
    token::{Page, Token},
    token_query::{LIMIT_MAX, TokenQuery, TokenSort},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    body::JsonBody,
    caller::Caller,
    shapes::{Change, Created, Deleted, Errors, New, Shown},
};
use crate::{
    http::{again::Again, extract::ApiPath, pages, refusals::Refused},
    problem::ApiError,
    state::AppState,
};

/// The audiences of a token that is created here.
const AUDIENCES: [&str; 2] = ["default", "tessera"];

#[derive(OpenApi)]
#[openapi(info(
    title = "Tessera for clients of Kriten",
    description = "Kriten's API for tokens, served by Tessera. Send the `Token` header with a token, or \
        `Authorization: Bearer` with the session token that `/api/v1/login` returns. If a request \
        has both, the `Token` header is used."
))]
pub(super) struct Document;

/// Returns the operations of this surface.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_api_tokens, create_api_token, put_api_token))
        .routes(routes!(list_all_api_tokens))
        .routes(routes!(get_api_token, update_api_token, replace_api_token, delete_api_token))
        .routes(routes!(login::login))
}

/// Formats an error for this surface.
pub(super) fn envelope(problem: &Problem) -> (StatusCode, Value) {
    let status = match problem.code {
        ProblemCode::ValidationFailed | ProblemCode::BoundExceeded => StatusCode::BAD_REQUEST,
        _ => StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let text = match problem.code {
        ProblemCode::Unauthenticated => "please authenticate.".to_owned(),
        ProblemCode::InvalidCredentials => "invalid credentials".to_owned(),
        ProblemCode::Forbidden | ProblemCode::InsufficientScope => {
            "unauthorized - user cannot access resource".to_owned()
        }
        ProblemCode::ValidationFailed | ProblemCode::BoundExceeded => {
            shapes::wrong_values(&problem.errors)
        }
        _ => problem.detail.clone(),
    };
    (status, json!({"error": text}))
}

/// List own tokens
#[utoipa::path(
    get,
    path = "/api/v1/api_tokens",
    operation_id = "listApiTokens",
    tag = "api_tokens",
    responses(
        (status = 200, description = "The tokens that act as the caller's user, oldest first",
            body = Vec<Shown>,
            headers(("Content-Range" = String, description = "The number of tokens"))),
        Errors,
    ),
)]
async fn list_api_tokens(
    State(state): State<AppState>,
    Caller(context): Caller,
    again: Again,
) -> Result<Response, ApiError> {
    let workspace = state.authority.workspaces().home(&context).await?;
    let whose = Whose::One(user(&context));
    Ok(listed(state, context, again, workspace, whose).await?)
}

/// List all tokens
///
/// The list is empty if the caller may not see all of them.
#[utoipa::path(
    get,
    path = "/api/v1/api_tokens/all",
    operation_id = "listAllApiTokens",
    tag = "api_tokens",
    responses(
        (status = 200, description = "All tokens of the workspace, oldest first",
            body = Vec<Shown>,
            headers(("Content-Range" = String, description = "The number of tokens"))),
        Errors,
    ),
)]
async fn list_all_api_tokens(
    State(state): State<AppState>,
    Caller(context): Caller,
    again: Again,
) -> Result<Response, ApiError> {
    let list = async {
        let workspace = state.authority.workspaces().home(&context).await?;
        listed(state, context, again, workspace, Whose::Everybody).await
    };
    match list.await {
        Err(error @ (ServiceError::Forbidden(_) | ServiceError::InsufficientScope(_))) => {
            let none: [Shown; 0] = [];
            let range = [(header::CONTENT_RANGE, HeaderValue::from(0))];
            let mut response = (range, Json(none)).into_response();
            Refused::page(error.code()).mark(&mut response);
            Ok(response)
        }
        list => Ok(list?),
    }
}

/// Create a token
///
/// The response contains the token's value as `key`, which is shown only once.
#[utoipa::path(
    post,
    path = "/api/v1/api_tokens",
    operation_id = "createApiToken",
    tag = "api_tokens",
    request_body = New,
    responses((status = 200, description = "The token was created", body = Created), Errors),
)]
async fn create_api_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    JsonBody(new): JsonBody<New>,
) -> Result<Json<Created>, ApiError> {
    create(&state, &context, new).await
}

/// Create a token with PUT
///
/// The same as with POST.
#[utoipa::path(
    put,
    path = "/api/v1/api_tokens",
    operation_id = "putApiToken",
    tag = "api_tokens",
    request_body = New,
    responses((status = 200, description = "The token was created", body = Created), Errors),
)]
async fn put_api_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    JsonBody(new): JsonBody<New>,
) -> Result<Json<Created>, ApiError> {
    create(&state, &context, new).await
}

/// Show a token
#[utoipa::path(
    get,
    path = "/api/v1/api_tokens/{id}",
    operation_id = "getApiToken",
    tag = "api_tokens",
    params(("id" = Uuid, Path, description = "The token's ID")),
    responses((status = 200, description = "The token, without its value", body = Shown), Errors),
)]
async fn get_api_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
) -> Result<Json<Shown>, ApiError> {
    let token = state.authority.tokens().show(&context, id).await?;
    Ok(Json(token.into()))
}

/// Change a token
///
/// Absent fields stay unchanged.
#[utoipa::path(
    patch,
    path = "/api/v1/api_tokens/{id}",
    operation_id = "updateApiToken",
    tag = "api_tokens",
    params(("id" = Uuid, Path, description = "The token's ID")),
    request_body = Change,
    responses((status = 200, description = "The token after the change", body = Shown), Errors),
)]
async fn update_api_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    JsonBody(change): JsonBody<Change>,
) -> Result<Json<Shown>, ApiError> {
    update(&state, &context, id, change).await
}

/// Change a token with PUT
///
/// The same as with PATCH.
#[utoipa::path(
    put,
    path = "/api/v1/api_tokens/{id}",
    operation_id = "replaceApiToken",
    tag = "api_tokens",
    params(("id" = Uuid, Path, description = "The token's ID")),
    request_body = Change,
    responses((status = 200, description = "The token after the change", body = Shown), Errors),
)]
async fn replace_api_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    JsonBody(change): JsonBody<Change>,
) -> Result<Json<Shown>, ApiError> {
    update(&state, &context, id, change).await
}

/// Delete a token
///
/// It can never be used again.
#[utoipa::path(
    delete,
    path = "/api/v1/api_tokens/{id}",
    operation_id = "deleteApiToken",
    tag = "api_tokens",
    params(("id" = Uuid, Path, description = "The token's ID")),
    responses((status = 200, description = "The token was deleted", body = Deleted), Errors),
)]
async fn delete_api_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
) -> Result<Json<Deleted>, ApiError> {
    state.authority.tokens().delete(&context, id, None).await?;
    Ok(Json(Deleted::default()))
}

async fn create(
    state: &AppState,
    context: &OpContext,
    new: New,
) -> Result<Json<Created>, ApiError> {
    let expiry = Ok(new.end()?);
    let workspace = state.authority.workspaces().home(context).await?;
    let audiences = audiences(context);
    let tokens = state.authority.tokens();
    let offered = tokens.offer(context, &workspace, &audiences).await?;
    if offered.is_empty() {
        return Err(ServiceError::Forbidden("You may not put any scope on tokens.").into());
    }
    let grants = offered.iter().map(|(audience, scopes)| {
        (audience.to_string(), scopes.iter().map(ToString::to_string).collect())
    });
    let description = new.description.unwrap_or_default();
    let draft = TokenDraft {
        name: name::of(&description),
        number_name: true,
        description,
        grants: Some(grants.collect()),
        // Without an expiry, the token never expires. If a token creates it, it expires as late as
        // that token may allow.
        cut_end: expiry == Ok(ExpiryChoice::Never),
        expiry,
        disabled: new.enabled == Some(false),
        ..TokenDraft::default()
    };
    let minted = tokens.create(context, &workspace, draft).await?;
    Ok(Json(minted.into()))
}

async fn update(
    state: &AppState,
    context: &OpContext,
    id: TokenId,
    change: Change,
) -> Result<Json<Shown>, ApiError> {
    let patch = TokenPatch {
        expiry: change.end()?.map(Ok),
        description: change.description,
        enabled: change.enabled,
        ..TokenPatch::default()
    };
    let token = state.authority.tokens().update(context, id, None, patch).await?;
    Ok(Json(token.into()))
}

/// Returns the audiences of a new token. A person grants scopes of both; a token only of those that
/// it has itself.
fn audiences(context: &OpContext) -> Vec<AudienceSlug> {
    let all = AUDIENCES.iter().filter_map(|slug| slug.parse::<AudienceSlug>().ok());
    match &context.actor {
        Actor::Token(facts) => {
            all.filter(|slug| facts.surroundings.rights_in(slug.as_ref()).is_some()).collect()
        }
        _ => all.collect(),
    }
}

fn user(context: &OpContext) -> Option<UserId> {
    match &context.actor {
        Actor::User(visitor) => Some(visitor.user.id),
        Actor::Token(facts) => Some(facts.surroundings.user.id),
        Actor::Anonymous | Actor::Operator | Actor::Restricted(_) => None,
    }
}

/// The owner of the listed tokens.
#[derive(Clone)]
enum Whose {
    One(Option<UserId>),
    Everybody,
}

/// Returns all pages of a list in sequence, because this API has no pages.
async fn listed(
    state: AppState,
    context: OpContext,
    again: Again,
    workspace: Slug,
    whose: Whose,
) -> Result<Response, ServiceError> {
    let first = page(&state, &context, &workspace, &whose, None).await?;
    let count = match (&first.next, &whose) {
        (None, _) => i64::try_from(first.items.len()).unwrap_or(i64::MAX),
        (Some(_), Whose::Everybody) => {
            state.authority.tokens().count(&context, &workspace, None).await?
        }
        (Some(_), Whose::One(owner)) => {
            state.authority.tokens().count(&context, &workspace, *owner).await?
        }
    };
    let response = pages::list::<Shown, _>(first, move |cursor| {
        let (state, context, workspace) = (state.clone(), context.clone(), workspace.clone());
        let (again, whose) = (again.clone(), whose.clone());
        async move {
            let context = again.renew(&state, &context).await?;
            page(&state, &context, &workspace, &whose, Some(cursor)).await
        }
    });
    Ok(([(header::CONTENT_RANGE, HeaderValue::from(count))], response).into_response())
}

async fn page(
    state: &AppState,
    context: &OpContext,
    workspace: &Slug,
    whose: &Whose,
    cursor: Option<String>,
) -> Result<Page<Token>, ServiceError> {
    let tokens = state.authority.tokens();
    let mut query =
        TokenQuery { sort: TokenSort::Oldest, limit: LIMIT_MAX, cursor, ..TokenQuery::default() };
    match whose {
        Whose::Everybody => tokens.list_of_everybody(context, workspace, &query).await,
        Whose::One(owner) => {
            query.owner = owner.map(|id| id.to_string());
            tokens.list(context, workspace, &query).await
        }
    }
}
