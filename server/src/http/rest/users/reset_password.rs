//! `POST /api/v1/users/{id}/password-reset`

use axum::{Json, extract::State};
use domain::ids::UserId;
use http::StatusCode;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::QueryErrors, schema::PasswordLinkBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Create a link that resets a password
///
/// Give the link to the person. It lets them choose a new password once, within 24 hours, and it
/// replaces any earlier link. Nothing changes until the link is used; then all sessions of the
/// person end. Only owners can reset the password of an owner, and users cannot reset their own.
/// For signed-in administrators of the instance.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/password-reset",
    operation_id = "resetPassword",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's ID")),
    responses(
        (status = 201, description = "The link, which is shown only once", body = PasswordLinkBody),
        QueryErrors,
    ),
)]
pub(crate) async fn reset_password(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<UserId>,
) -> Result<(StatusCode, Json<PasswordLinkBody>), ApiError> {
    let link = state.authority.passwords().issue_link(&context, id).await?;
    Ok((StatusCode::CREATED, Json(PasswordLinkBody::of(&link, &state.config))))
}
