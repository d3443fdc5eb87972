//! `DELETE /api/v1/users/{id}`

use axum::{Json, extract::State};
use domain::ids::UserId;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        rest::{
            errors::RemovePersonErrors, known_secrets::KnownSecretsQuery, schema::RemovedUserBody,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// Remove a user
///
/// This is permanent: the user is signed out and removed from all workspaces, and their tokens are
/// refused immediately. Things that the user created keep their name, and their address is never
/// given to another user. Tokens that act as other users are disabled if the user may know their
/// secret and could regain access through their scopes `tokens:write`, `tokens:reveal` or
/// `members:write` of `tessera`; those that only call other APIs stay as they are. Passwords that
/// the user set for owners and administrators are invalidated; your own never is. For signed-in
/// administrators of the instance.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    operation_id = "removeUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's ID"), IfMatchHeader, KnownSecretsQuery),
    responses(
        (status = 200, description = "The user was removed", body = RemovedUserBody),
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
