//! `DELETE /api/v1/users/{id}`

use axum::{Json, extract::State};
use domain::ids::UserId;

use super::{
    errors::RemovePersonErrors, known_secrets::KnownSecretsQuery, schema::RemovedUserBody,
};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiPath, ApiQuery, IfMatch, IfMatchHeader},
    problem::ApiError,
};

/// Remove a user
///
/// For good: signed out, member of nothing, its tokens refused at once. What it made keeps its name,
/// and its address is not given to another. Tokens that act as others are disabled if the user may know their secret and could
/// come back by their scopes `tokens:write`, `tokens:reveal` or `members:write` of `tessera`; those that only call other APIs stay.
/// Passwords that the user gave to owners and administrators end; your own never does. For administrators of the instance who
/// are signed in.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    operation_id = "removeUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id"), IfMatchHeader, KnownSecretsQuery),
    responses(
        (status = 200, description = "The user is removed", body = RemovedUserBody),
        RemovePersonErrors,
    ),
)]
pub(crate) async fn remove_user(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<UserId>,
    IfMatch(expected): IfMatch,
    ApiQuery(query): ApiQuery<KnownSecretsQuery>,
) -> Result<Json<RemovedUserBody>, ApiError> {
    let users = state.authority.users();
    let removed = users.remove_and(&context, id, expected, query.known_secrets.into()).await?;
    Ok(Json(RemovedUserBody::from(removed)))
}
