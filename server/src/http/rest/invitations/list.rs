//! `GET /api/v1/workspaces/{ws}/invitations`

use axum::{Json, extract::State};
use domain::names::Slug;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::InvitationListBody},
    },
    problem::ApiError,
    state::AppState,
};

/// List the invitations of a workspace
///
/// Invitations that have been neither accepted nor revoked and have not expired, newest first. An
/// invitation that the person declined stays in the list until it expires. Needs the scope
/// `members:write` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}/invitations",
    operation_id = "listInvitations",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    responses((status = 200, description = "The invitations", body = InvitationListBody), ReadErrors),
)]
pub(crate) async fn list_invitations(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
) -> Result<Json<InvitationListBody>, ApiError> {
    let invitations = state.authority.invitations().of_workspace(&context, &workspace).await?;
    Ok(Json(invitations.into()))
}
