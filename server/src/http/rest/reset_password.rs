//! `POST /api/v1/users/{id}/password-reset`

use axum::{Json, extract::State};
use domain::ids::UserId;
use http::StatusCode;

use super::{errors::QueryErrors, schema::PasswordLinkBody};
use crate::http::{AppState, caller::Caller, extract::ApiPath, problem::ApiError};

/// Make a link that resets a password
///
/// Hand the link to the person: it lets them choose a new password, once, within 24 hours, and replaces an
/// earlier link. Nothing changes before it is used; then all sessions of the person end. Only owners reset
/// the password of an owner, and nobody resets their own. For administrators of the instance who are signed
/// in.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/password-reset",
    operation_id = "resetPassword",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's id")),
    responses(
        (status = 201, description = "The link; it is shown once", body = PasswordLinkBody),
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
