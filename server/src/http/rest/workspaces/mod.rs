//! Workspaces.

mod change;
mod create;
mod list;
mod show;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_workspaces, create::create_workspace))
        .routes(routes!(show::show_workspace, change::change_workspace))
}
