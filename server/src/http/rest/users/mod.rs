//! Users of the instance: people and service accounts.

mod change;
mod create;
mod list;
mod remove;
mod reset_password;
mod show;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_users, create::create_user))
        .routes(routes!(show::show_user, change::change_user, remove::remove_user))
        .routes(routes!(reset_password::reset_password))
}
