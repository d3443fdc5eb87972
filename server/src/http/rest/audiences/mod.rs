//! Audiences and their scopes. Every authenticated caller may read them. Only administrators of the
//! instance may change them, and Tessera's own audience cannot be changed.
//!
//! Every response about one audience carries the audience's version as its `ETag`, and every change
//! takes it as `If-Match`. Scopes have no versions of their own, because they imply each other.

mod add_scope;
mod change_audience;
mod change_scope;
mod create_audience;
mod delete_audience;
mod delete_scope;
mod list_audiences;
mod list_scopes;
mod load_catalogue;
mod retire_scope;
mod show_audience;
mod unretire_scope;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_audiences::list_audiences, create_audience::create_audience))
        .routes(routes!(
            show_audience::show_audience,
            change_audience::change_audience,
            delete_audience::delete_audience
        ))
        .routes(routes!(load_catalogue::load_catalogue))
        .routes(routes!(list_scopes::list_scopes, add_scope::add_scope))
        .routes(routes!(change_scope::change_scope, delete_scope::delete_scope))
        .routes(routes!(retire_scope::retire_scope))
        .routes(routes!(unretire_scope::unretire_scope))
}
