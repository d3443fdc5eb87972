//! `DELETE /api/v1/workspaces/{ws}/members/{user}`

use axum::{Json, extract::State};
use domain::{ids::UserId, names::Slug};

use super::{errors::RemoveErrors, schema::StoppedBody};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiPath, IfMatch, IfMatchHeader},
    problem::ApiError,
};

/// Remove a member
///
/// The user's tokens of this workspace are refused at once; they stay until they are deleted, or
/// handed over to another user. Needs the scope `members:write` of the audience `tessera`.
#[utoipa::path(
    delete,
    path = "/api/v1/workspaces/{ws}/members/{user}",
    operation_id = "removeMember",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), ("user" = Uuid, Path, description = "The user's id"), IfMatchHeader),
    responses(
        (status = 200, description = "The member is removed", body = StoppedBody),
        RemoveErrors,
    ),
)]
pub(crate) async fn remove_member(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((workspace, user)): ApiPath<(Slug, UserId)>,
    IfMatch(expected): IfMatch,
) -> Result<Json<StoppedBody>, ApiError> {
    let workspaces = state.authority.workspaces();
    let removed = workspaces.remove_member(&context, &workspace, user, expected).await?;
    Ok(Json(StoppedBody { stopped_tokens: removed.stopped_tokens }))
}
