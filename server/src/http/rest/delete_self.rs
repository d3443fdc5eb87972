//! `DELETE /api/v1/self`

use axum::extract::State;
use http::StatusCode;

use super::errors::SwitchErrors;
use crate::http::{
    AppState,
    caller::Caller,
    extract::{IfMatch, IfMatchHeader},
    problem::ApiError,
};

/// Delete the presented token
///
/// For good: once this is answered, the token is refused everywhere. Every valid token may do so; no
/// scope is needed.
#[utoipa::path(
    delete,
    path = "/api/v1/self",
    operation_id = "deleteSelf",
    tag = "Tokens",
    params(IfMatchHeader),
    responses((status = 204, description = "The presented token is deleted"), SwitchErrors),
)]
pub(crate) async fn delete_self(
    State(state): State<AppState>,
    Caller(context): Caller,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    state.authority.tokens().delete_self(&context, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
