//! `GET /api/v1/sessions/{id}`

use axum::{Json, extract::State};
use domain::ids::SessionId;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::SessionBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Show a session
///
/// People can see their own sessions; administrators of the instance can see any.
#[utoipa::path(
    get,
    path = "/api/v1/sessions/{id}",
    operation_id = "showSession",
    tag = "Sessions",
    params(("id" = Uuid, Path, description = "The session's ID")),
    responses((status = 200, description = "The session", body = SessionBody), ReadErrors),
)]
pub(crate) async fn show_session(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<SessionId>,
) -> Result<Json<SessionBody>, ApiError> {
    Ok(Json(state.authority.sessions().show(&context, id).await?.into()))
}
