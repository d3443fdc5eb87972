//! `POST /api/v1/invitations/{id}/accept`

use axum::{Json, extract::State};
use domain::ids::InvitationId;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::RemoveErrors, schema::InvitationBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Accept an invitation
///
/// The signed-in person becomes a member of the workspace. The inviter must still be allowed to
/// give that role and those grants; otherwise the invitation no longer exists (404). A token cannot
/// accept an invitation.
#[utoipa::path(
    post,
    path = "/api/v1/invitations/{id}/accept",
    operation_id = "acceptInvitation",
    tag = "Invitations",
    params(("id" = Uuid, Path, description = "The invitation's ID")),
    responses(
        (status = 200, description = "The person is now a member. The body is the accepted invitation", body = InvitationBody),
        RemoveErrors,
    ),
)]
pub(crate) async fn accept_invitation(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<InvitationId>,
) -> Result<Json<InvitationBody>, ApiError> {
    Ok(Json(state.authority.invitations().accept(&context, id).await?.into()))
}
