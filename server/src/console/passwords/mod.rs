//! Forms about passwords.

mod change;
mod redeem;

use axum::{Router, routing::get};

use super::page;
use crate::state::AppState;

/// The path of the page to change one's own password.
pub(super) const PASSWORD: &str = "/account/password";

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route(PASSWORD, get(page::password).post(change::change))
        .route("/reset-password/{secret}", get(page::still).post(redeem::redeem))
}
