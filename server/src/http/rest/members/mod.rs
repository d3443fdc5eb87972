//! Members of workspaces.

mod add;
mod change;
mod list;
mod remove;
mod show;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list_members, add::add_member)).routes(routes!(
        show::show_member,
        change::change_member,
        remove::remove_member
    ))
}
