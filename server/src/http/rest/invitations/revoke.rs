//! `DELETE /api/v1/workspaces/{ws}/invitations/{id}`

use axum::extract::State;
use domain::{ids::InvitationId, names::Slug};
use http::StatusCode;

use crate::{
    http::{caller::Caller, extract::ApiPath, rest::errors::ReadErrors},
    problem::ApiError,
    state::AppState,
};

/// Revoke an invitation
///
/// The invitation can no longer be accepted. Needs the scope `members:write` of the
/// audience `tessera`.
#[utoipa::path(
    delete,
    path = "/api/v1/workspaces/{ws}/invitations/{id}",
    operation_id = "revokeInvitation",
    tag = "Members",
    params(
        ("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"),
        ("id" = Uuid, Path, description = "The invitation's ID"),
    ),
    responses((status = 204, description = "The invitation was revoked"), ReadErrors),
)]
pub(crate) async fn revoke_invitation(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((workspace, id)): ApiPath<(Slug, InvitationId)>,
) -> Result<StatusCode, ApiError> {
    state.authority.invitations().revoke(&context, &workspace, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
