//! `GET /api/v1/users/{id}`

use axum::{extract::State, response::IntoResponse};
use domain::ids::UserId;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::UserRecordBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Show a user
///
/// For signed-in administrators of the instance.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    operation_id = "showUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's ID")),
    responses(
        (status = 200, description = "The user", body = UserRecordBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ReadErrors,
    ),
)]
pub(crate) async fn show_user(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<UserId>,
) -> Result<impl IntoResponse, ApiError> {
    let user = state.authority.users().show(&context, id).await?;
    Ok(Tagged { version: user.version, body: UserRecordBody::from(user) })
}
