//! `DELETE /api/v1/sessions/{id}`

use axum::extract::State;
use domain::ids::SessionId;
use http::StatusCode;

use crate::{
    http::{caller::Caller, extract::ApiPath, rest::errors::ReadErrors},
    problem::ApiError,
    state::AppState,
};

/// End a session
///
/// Its cookie is refused from now on. People can end their own sessions; administrators of the
/// instance can end any.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{id}",
    operation_id = "endSession",
    tag = "Sessions",
    params(("id" = Uuid, Path, description = "The session's ID")),
    responses((status = 204, description = "The session was ended"), ReadErrors),
)]
pub(crate) async fn end_session(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<SessionId>,
) -> Result<StatusCode, ApiError> {
    state.authority.sessions().end(&context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
