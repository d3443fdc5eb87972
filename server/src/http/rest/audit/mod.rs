//! The audit log, of a workspace and of the instance.

mod list;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_workspace_audit))
        .routes(routes!(list::list_audit))
}
