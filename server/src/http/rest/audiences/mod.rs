//! Audiences and their scopes. Whoever is known reads them; changing them is for administrators of
//! the instance, and nobody changes Tessera's own.
//!
//! Every answer about one audience has the audience's version as its `ETag`, and every change takes
//! it as `If-Match`: scopes have no versions of their own, since they imply each other.

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

/// The routes.
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
