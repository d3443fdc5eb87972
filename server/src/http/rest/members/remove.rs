//! `DELETE /api/v1/workspaces/{ws}/members/{user}`

use axum::{Json, extract::State};
use domain::{ids::UserId, names::Slug};

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        rest::{errors::RemovePersonErrors, known_secrets::KnownSecretsQuery, schema::StoppedBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Remove a member
///
/// The user's tokens of this workspace are refused immediately. They remain until they are deleted
/// or handed over to another user. Tokens of the workspace that act as other users are disabled if
/// the removed user may know their secret and could regain access through their scopes
/// `tokens:write`, `tokens:reveal` or `members:write` of `tessera`. Tokens that only call other
/// APIs stay as they are. Needs the scope `members:write` of the audience `tessera`.
#[utoipa::path(
    delete,
    path = "/api/v1/workspaces/{ws}/members/{user}",
    operation_id = "removeMember",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), ("user" = Uuid, Path, description = "The user's ID"), IfMatchHeader, KnownSecretsQuery),
    responses(
        (status = 200, description = "The member was removed", body = StoppedBody),
        RemovePersonErrors,
    ),
)]
pub(crate) async fn remove_member(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((workspace, user)): ApiPath<(Slug, UserId)>,
    IfMatch(expected): IfMatch,
    ApiQuery(query): ApiQuery<KnownSecretsQuery>,
) -> Result<Json<StoppedBody>, ApiError> {
    let workspaces = state.authority.workspaces();
    let known = query.known_secrets.into();
    let removed = workspaces.remove_member_and(&context, &workspace, user, expected, known).await?;
    let (stopped_tokens, disabled_tokens) = (removed.stopped_tokens, removed.disabled_tokens);
    Ok(Json(StoppedBody { stopped_tokens, disabled_tokens }))
}
