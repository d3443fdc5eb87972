//! The form behind the one-time set-up link.

mod complete;

use axum::{Router, routing::get};

use super::page;
use crate::state::AppState;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/setup/{secret}", get(page::open).post(complete::complete))
}
