//! `GET /api/v1/invitations`

use axum::{Json, extract::State};

use crate::{
    http::{
        caller::Caller,
        rest::{errors::SelfErrors, schema::InvitationListBody},
    },
    problem::ApiError,
    state::AppState,
};

/// List your invitations
///
/// Open invitations to the address of the signed-in person, newest first. A token has none.
#[utoipa::path(
    get,
    path = "/api/v1/invitations",
    operation_id = "listOwnInvitations",
    tag = "Invitations",
    responses((status = 200, description = "The invitations", body = InvitationListBody), SelfErrors),
)]
pub(crate) async fn list_own_invitations(
    State(state): State<AppState>,
    Caller(context): Caller,
) -> Result<Json<InvitationListBody>, ApiError> {
    Ok(Json(state.authority.invitations().own(&context).await?.into()))
}
