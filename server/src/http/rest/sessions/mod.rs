//! Sessions of people.

mod end;
mod end_all;
mod list;
mod show;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_sessions, end_all::end_sessions))
        .routes(routes!(show::show_session, end::end_session))
}
