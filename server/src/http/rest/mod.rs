//! The REST API, version 1: one operation per file.
//!
//! Two routers, because they stand behind different layers: `managing` for people and programs that
//! manage tokens, `asking` for what services call on every request of theirs, which passes no log
//! and looks up a session only when no token is presented.

mod audiences;
mod create_token;
mod delete_token;
mod errors;
mod list_tokens;
mod list_workspaces;
pub(crate) mod schema;
mod show_self;
mod show_token;
mod show_workspace;
mod verify;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use errors::reusable_responses;

use super::AppState;

/// Managing tokens.
pub(crate) fn managing() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_tokens::list_tokens, create_token::create_token))
        .routes(routes!(show_token::show_token, delete_token::delete_token))
        .routes(routes!(show_self::show_self))
        .routes(routes!(list_workspaces::list_workspaces))
        .routes(routes!(show_workspace::show_workspace))
        .merge(audiences::router())
}

/// Asking what a token may do.
pub(crate) fn asking() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(verify::verify))
}
