//! What is mounted where, and behind which layers.
//!
//! From the outside in:
//!
//! | layer | console | API | verify, health | `/auth/forward` |
//! |---|---|---|---|---|
//! | `answer::finish`: request id, problems | ✓ | ✓ | ✓ | ✓ |
//! | `headers::protect` | ✓ | ✓ | ✓ | |
//! | catch panics | ✓ | ✓ | ✓ | ✓ |
//! | `log::layer` | ✓ | ✓ | | |
//! | `origin::check_*` | ✓ | ✓ | ✓ | |
//! | `body::receive`: size, time | ✓ | ✓ | ✓ | |
//!
//! `/auth/forward` gets no headers for browsers: gateways hand its refusals on under the names of
//! other hosts, where Tessera's policies have no business. Session lookup is no layer at all:
//! whoever needs it asks for it (`caller`).

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::any,
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    AppState, answer, body, docs, forward, headers, health, log, openapi, origin, problem, rest,
};
use crate::{assets, console};

/// The whole of it.
pub(crate) fn router(state: AppState) -> Router {
    let api = managing(&state).merge(asking(&state)).with_state(state.clone());
    let console = console::router(state.clone())
        .layer(from_fn(body::receive))
        .layer(from_fn_with_state(state.clone(), origin::check_console))
        .layer(log::layer());
    let browsers = console
        .merge(api)
        .merge(assets::router())
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(from_fn_with_state(state.clone(), headers::protect));
    let gateways = forward::router()
        .with_state(state.clone())
        .layer(CatchPanicLayer::custom(answer::panicked));
    browsers.merge(gateways).layer(from_fn_with_state(state, answer::finish))
}

/// The API but for what services call on every request of theirs.
fn managing(state: &AppState) -> Router<AppState> {
    let (routes, _) = rest::managing().split_for_parts();
    routes
        .merge(openapi::router())
        .merge(docs::router())
        .route("/api", any(problem::not_found))
        .route("/api/", any(problem::not_found))
        .route("/api/{*rest}", any(problem::not_found))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn(body::receive))
        .layer(from_fn_with_state(state.clone(), origin::check_api))
        .layer(log::layer())
}

/// What services and load balancers call all the time: not logged.
fn asking(state: &AppState) -> Router<AppState> {
    let (routes, _) = rest::asking().split_for_parts();
    routes
        .merge(health::router())
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn(body::receive))
        .layer(from_fn_with_state(state.clone(), origin::check_api))
}
