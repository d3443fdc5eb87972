//! The REST API, version 1: one operation per file, `<noun>/<verb>.rs`.
//!
//! There are two routers, because they stand behind different layers: `managing` for people and
//! programs that manage tokens, and `asking` for the calls that services make on every request of
//! their own. `asking` bypasses the log and looks up a session only if the request has no token.

mod account;
mod audiences;
mod audit;
mod errors;
mod export;
mod instance;
mod invitations;
mod known_secrets;
mod members;
mod passwords;
mod policies;
pub(crate) mod schema;
mod scopes;
mod sessions;
mod tagged;
mod tokens;
mod users;
pub(crate) mod verification;
mod workspaces;

use utoipa_axum::router::OpenApiRouter;

pub(crate) use errors::reusable_responses;
pub(crate) use verification::PATH as VERIFY_PATH;

use crate::state::AppState;

/// Returns the routes that manage tokens, and everything that they depend on.
pub(crate) fn managing() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .merge(account::router())
        .merge(audiences::router())
        .merge(audit::router())
        .merge(instance::router())
        .merge(invitations::router())
        .merge(members::router())
        .merge(passwords::router())
        .merge(policies::router())
        .merge(scopes::router())
        .merge(sessions::router())
        .merge(tokens::router())
        .merge(users::router())
        .merge(workspaces::router())
}

/// Returns the routes that verify tokens.
pub(crate) fn asking() -> OpenApiRouter<AppState> {
    verification::router()
}
