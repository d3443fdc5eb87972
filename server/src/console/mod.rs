//! The console's HTTP endpoints: pages for GET, forms for POST, server functions for reading.
//!
//! - `page`: every GET, rendered by leptos.
//! - `setup`, `sign_in`, `sign_out`, `theme`, `password`, `invitations`, `token_create`,
//!   `token_change`, `token_secret`, `token_delete`: forms, each in the order read → call the
//!   service → respond.
//! - `visit` (the visitor and their request), `form` (the submitted fields), `post` (both, and the
//!   response: a page or JSON), `render` (leptos), `cookies`.
//! - `functions`: server functions.
//!
//! Invariants:
//! - Neither a GET nor a server function changes anything.
//! - A page that responds to a POST is never hydrated and never stored.
//! - Every failure returns the submitted fields, except passwords.
//!
//! To add a form, add its file, its route here, and its page in the crate `app`.

mod cookies;
mod form;
mod functions;
mod invitations;
mod page;
mod password;
mod post;
mod render;
mod setup;
mod sign_in;
mod sign_out;
mod theme;
mod token_change;
mod token_create;
mod token_delete;
mod token_secret;
mod visit;

use axum::{
    Router,
    response::Redirect,
    routing::{get, post},
};

use crate::http::{AppState, problem};

/// The path of a workspace's members and invitations.
const MEMBERS: &str = "/workspaces/{workspace}/settings/members";
/// The path of a workspace's tokens.
const TOKENS: &str = "/workspaces/{workspace}/settings/tokens";

/// The path of the page to change one's own password.
const PASSWORD: &str = "/account/password";

/// Returns the router of the console. It also answers paths that no other router has, with a page
/// that says so.
pub(crate) fn router(state: AppState) -> Router {
    render::start();
    Router::new()
        .route("/", get(async || Redirect::to(app::next::HOME)))
        .route("/setup/{secret}", get(page::open).post(setup::setup))
        .route("/reset-password/{secret}", get(page::still).post(password::reset))
        .route(PASSWORD, get(page::password).post(password::change))
        .route("/sign-in", get(page::sign_in).post(sign_in::sign_in))
        .route("/sign-out", post(sign_out::sign_out))
        .route("/theme", post(theme::theme))
        .route("/instance", get(page::signed_in))
        .route("/workspaces", get(page::signed_in))
        .route("/workspaces/{workspace}", get(page::signed_in))
        .route("/workspaces/{workspace}/settings", get(page::signed_in))
        .route(MEMBERS, get(page::still_signed_in).post(invitations::invite))
        .route(&format!("{MEMBERS}/{{invitation}}/revoke"), post(invitations::revoke))
        .route("/invitations", get(page::still_signed_in))
        .route("/invitations/{invitation}/accept", post(invitations::accept))
        .route("/invitations/{invitation}/decline", post(invitations::decline))
        .route(TOKENS, get(page::signed_in))
        .route(&format!("{TOKENS}/new"), get(page::signed_in).post(token_create::token_create))
        .route(&format!("{TOKENS}/{{token}}"), get(page::signed_in))
        .route(&of_token("delete"), get(page::signed_in).post(token_delete::token_delete))
        .route(&of_token("edit"), get(page::signed_in).post(token_change::edit))
        .route(&of_token("rotate"), get(page::signed_in).post(token_secret::rotate))
        .route(&of_token("reveal"), get(page::signed_in).post(token_secret::reveal))
        .route(&of_token("disable"), get(page::signed_in).post(token_change::disable))
        .route(&of_token("enable"), post(token_change::enable))
        .route(&of_token("end-grace"), post(token_change::end_grace))
        .route("/console/fn/{*name}", post(functions::call))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .fallback(page::not_found)
        .with_state(state)
}

/// Returns the path of a form about one token.
fn of_token(what: &str) -> String {
    format!("{TOKENS}/{{token}}/{what}")
}
