//! The REST API, version 1: one operation per file.
//!
//! Two routers, because they stand behind different layers: `managing` for people and programs that
//! manage tokens, `asking` for what services call on every request of theirs, which passes no log
//! and looks up a session only when no token is presented.

mod audiences;
mod bulk_tokens;
mod clone_token;
mod create_token;
mod delete_self;
mod delete_token;
mod disable_token;
mod enable_token;
mod end_grace;
mod errors;
mod expire_token;
mod export;
mod export_tokens;
mod import_tokens;
mod list_audit;
mod list_tokens;
mod list_workspaces;
mod reveal_token;
mod rotate_self;
mod rotate_token;
pub(crate) mod schema;
mod show_self;
mod show_token;
mod show_usage;
mod show_workspace;
mod tagged;
mod update_token;
mod verify;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use errors::reusable_responses;

use super::AppState;

/// Managing tokens.
pub(crate) fn managing() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_tokens::list_tokens, create_token::create_token))
        .routes(routes!(bulk_tokens::bulk_tokens))
        .routes(routes!(
            show_token::show_token,
            update_token::update_token,
            delete_token::delete_token
        ))
        .routes(routes!(enable_token::enable_token))
        .routes(routes!(disable_token::disable_token))
        .routes(routes!(expire_token::expire_token))
        .routes(routes!(rotate_token::rotate_token))
        .routes(routes!(end_grace::end_grace))
        .routes(routes!(reveal_token::reveal_token))
        .routes(routes!(clone_token::clone_token))
        .routes(routes!(show_self::show_self, delete_self::delete_self))
        .routes(routes!(rotate_self::rotate_self))
        .routes(routes!(import_tokens::import_tokens))
        .routes(routes!(export_tokens::export_tokens))
        .routes(routes!(show_usage::show_usage))
        .routes(routes!(list_audit::list_workspace_audit))
        .routes(routes!(list_audit::list_audit))
        .routes(routes!(list_workspaces::list_workspaces))
        .routes(routes!(show_workspace::show_workspace))
        .merge(audiences::router())
}

/// Asking what a token may do.
pub(crate) fn asking() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(verify::verify))
}
