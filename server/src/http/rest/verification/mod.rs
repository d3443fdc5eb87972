//! Verification: what services ask about the tokens that they receive.

mod verify;
mod verify_many;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use verify::{PATH, Question};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(verify::verify))
        .routes(routes!(verify_many::verify_many))
}
