//! `POST /api/v1/invitations/{id}/decline`

use axum::extract::State;
use domain::ids::InvitationId;
use http::StatusCode;

use crate::{
    http::{caller::Caller, extract::ApiPath, rest::errors::ReadErrors},
    problem::ApiError,
    state::AppState,
};

/// Decline an invitation
///
/// The workspace is not notified: its list shows the invitation until it expires. A token cannot
/// decline an invitation.
#[utoipa::path(
    post,
    path = "/api/v1/invitations/{id}/decline",
    operation_id = "declineInvitation",
    tag = "Invitations",
    params(("id" = Uuid, Path, description = "The invitation's ID")),
    responses((status = 204, description = "The invitation was declined"), ReadErrors),
)]
pub(crate) async fn decline_invitation(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<InvitationId>,
) -> Result<StatusCode, ApiError> {
    state.authority.invitations().decline(&context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
