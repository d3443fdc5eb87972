//! `DELETE /api/v1/users/{id}`

use axum::{Json, extract::State};
use domain::ids::UserId;

use super::{errors::RemoveErrors, schema::StoppedBody};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiPath, IfMatch, IfMatchHeader},
    problem::ApiError,
};

/// Remove a user
///
/// For good: signed out, member of nothing, its tokens refused at once. What it made keeps its name,
/// and its address is not given to another. For administrators of the instance who are signed in.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    operation_id = "removeUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id"), IfMatchHeader),
    responses(
        (status = 200, description = "The user is removed", body = StoppedBody),
        RemoveErrors,
    ),
)]
pub(crate) async fn remove_user(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<UserId>,
    IfMatch(expected): IfMatch,
) -> Result<Json<StoppedBody>, ApiError> {
    let removed = state.authority.users().remove(&context, id, expected).await?;
    Ok(Json(StoppedBody { stopped_tokens: removed.stopped_tokens }))
}
