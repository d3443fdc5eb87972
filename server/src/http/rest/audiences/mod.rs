//! Audiences. Every authenticated caller may read them. Only administrators of the instance may
//! change them, and Tessera's own audience cannot be changed.
//!
//! Every response about one audience carries the audience's version as its `ETag`, and every change
//! takes it as `If-Match`.

mod change;
mod create;
mod delete;
mod list;
mod load_catalogue;
mod show;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_audiences, create::create_audience))
        .routes(routes!(show::show_audience, change::change_audience, delete::delete_audience))
        .routes(routes!(load_catalogue::load_catalogue))
}
