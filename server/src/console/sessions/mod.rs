//! Forms about sessions.

mod sign_in;
mod sign_out;

use axum::{
    Router,
    routing::{get, post},
};

use super::page;
use crate::state::AppState;

pub(super) use sign_in::begin;

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/sign-in", get(page::sign_in).post(sign_in::sign_in))
        .route("/sign-out", post(sign_out::sign_out))
}
