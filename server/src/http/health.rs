//! `/healthz`: the process runs. `/readyz`: it can do its work.

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use crate::{problem::ApiError, state::AppState};

/// Returns both routes.
pub(crate) fn router() -> Router<AppState> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn readyz(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    state.authority.ready().await?;
    Ok(Json(json!({"status": "ready"})))
}
