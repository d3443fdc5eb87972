//! The console's HTTP endpoints: pages for GET, forms for POST, server functions for reading.
//!
//! - `page`: every GET, rendered by leptos.
//! - `tokens`, `invitations`, `passwords`, `sessions`, `setup`, `theme`: forms, one per file,
//!   `<noun>/<verb>.rs`, each in the order read → call the service → respond.
//! - `visit` (the visitor and their request), `form` (the submitted fields), `post` (both, and the
//!   response: a page or JSON), `render` (leptos), `cookies`.
//! - `functions`: server functions.
//!
//! Invariants:
//! - Neither a GET nor a server function changes anything.
//! - A page that responds to a POST is never hydrated and never stored.
//! - Every failure returns the submitted fields, except passwords.
//!
//! To add a form, add its file and its route to the folder of its noun, and its page to the crate
//! `app`.

mod cookies;
mod form;
mod functions;
mod invitations;
mod page;
mod passwords;
mod post;
mod render;
mod sessions;
mod setup;
mod theme;
mod tokens;
mod visit;

use axum::{
    Router,
    response::Redirect,
    routing::{get, post},
};

use self::passwords::PASSWORD;
use crate::{problem, state::AppState};

/// Returns the router of the console. It also answers paths that no other router has, with a page
/// that says so.
pub(crate) fn router(state: AppState) -> Router {
    render::start();
    Router::new()
        .route("/", get(async || Redirect::to(app::next::HOME)))
        .route("/theme", post(theme::theme))
        .route("/instance", get(page::signed_in))
        .route("/workspaces", get(page::signed_in))
        .route("/workspaces/{workspace}", get(page::signed_in))
        .route("/workspaces/{workspace}/settings", get(page::signed_in))
        .route("/console/fn/{*name}", post(functions::call))
        .merge(setup::router())
        .merge(sessions::router())
        .merge(passwords::router())
        .merge(invitations::router())
        .merge(tokens::router())
        .method_not_allowed_fallback(problem::method_not_allowed)
        .fallback(page::not_found)
        .with_state(state)
}
