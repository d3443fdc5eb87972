//! The dialect of Devo: `/ws/accounts/{account}/credentials/tokens`.

use domain::problem::Problem;
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::http::AppState;

#[derive(OpenApi)]
#[openapi(info(
    title = "Tessera for clients of Devo",
    description = "The API of Devo for tokens, over Tessera's own."
))]
pub(super) struct Document;

/// Its operations.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
}

/// Its error.
pub(super) fn envelope(problem: &Problem) -> (StatusCode, Value) {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, json!({"error": problem.detail}))
}
