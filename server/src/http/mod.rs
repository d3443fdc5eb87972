//! HTTP: the interfaces for programs, and the parts that all interfaces share.
//!
//! - `rest`: one operation per file, `<noun>/<verb>.rs`, each extract → call the service → wrap.
//! - `forward`: `/auth/forward`, for gateways.
//! - `oauth`: `/oauth2`, for OAuth clients and gateway plugins.
//! - `openapi`, `docs`: the description of these, and a page to try them.
//! - `idempotency`: repeatable requests.
//! - `problem`, `extract`, `caller`: parsing of requests and reporting of errors.
//! - `again`, `pages`: long responses, written page by page for a caller that is authenticated
//!   again for each page.
//! - `body`, `bodies`, `room`: reading of bodies, and limits on the memory for them.
//! - `holders`, `unread`, `patient`: the holder of a request, and limits on the memory for
//!   unread responses.
//! - `strangers`: a limit on concurrent requests of unauthenticated callers.
//! - `answer`, `headers`, `host`, `origin`, `log`, `rate`, `refusals`: layers.
//! - `router`: the routes, and the layers of each.
//!
//! Invariants:
//! - A handler decides nothing: the authority does, and its errors become problems in one place.
//! - Every response carries `x-request-id`; every 4xx and 5xx of an interface for programs is
//!   `application/problem+json`.
//! - No log line and no error text contains a secret, a cookie or a request's URI.
//!
//! To add an operation: a file in the folder of its noun in `rest`, its `#[utoipa::path]`, one
//! `routes!` line in the `mod.rs` beside it, its row in the authorisation table of
//! `tests/all/rest_authorisation.rs`.

pub(crate) mod again;
pub(crate) mod answer;
pub(crate) mod awaited;
mod bodies;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod client_ip;
pub(crate) mod cookies;
pub(crate) mod credentials;
mod docs;
pub(crate) mod extract;
mod forward;
pub(crate) mod headers;
pub(crate) mod health;
pub(crate) mod holders;
pub(crate) mod host;
pub(crate) mod idempotency;
pub(crate) mod log;
mod oauth;
pub(crate) mod openapi;
pub(crate) mod origin;
pub(crate) mod pages;
mod password_link;
mod patient;
pub(crate) mod problem;
pub(crate) mod proxy_hint;
pub(crate) mod rate;
pub(crate) mod refusals;
pub(crate) mod remembered;
mod rest;
mod room;
pub(crate) mod router;
pub(crate) mod state;
pub(crate) mod strangers;
pub(crate) mod unread;

pub(crate) use forward::PATH as FORWARD_PATH;
pub(crate) use password_link::password_link;
pub(crate) use room::network;
pub(crate) use router::router;
pub(crate) use state::AppState;
