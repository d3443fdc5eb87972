//! Scopes of audiences. Every authenticated caller may read them. Only administrators of the
//! instance may change them.
//!
//! Every change takes the audience's version as `If-Match`. Scopes have no versions of their own,
//! because they imply each other.

mod add;
mod change;
mod delete;
mod list;
mod retire;
mod unretire;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_scopes, add::add_scope))
        .routes(routes!(change::change_scope, delete::delete_scope))
        .routes(routes!(retire::retire_scope))
        .routes(routes!(unretire::unretire_scope))
}
