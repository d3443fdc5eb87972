//! HTTP: the interfaces for programs, and the parts that all interfaces share.
//!
//! - `rest`: one operation per file, `<noun>/<verb>.rs`, each extract → call the service → wrap.
//! - `forward`: `/auth/forward`, for gateways.
//! - `oauth`: `/oauth2`, for OAuth clients and gateway plugins.
//! - `openapi`, `docs`: the description of these, and a page to try them.
//! - `idempotency`: repeatable requests.
//! - `extract`, `caller`: parsing of requests.
//! - `again`, `pages`: long responses, written page by page for a caller that is authenticated
//!   again for each page.
//! - `body`: reading of bodies.
//! - `holders`: the holder of a request.
//! - `remembered`: verifications that are answered from memory.
//! - `answer`, `headers`, `log`, `refusals`: layers. Others are in `limits` and `request`.
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
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod docs;
pub(crate) mod extract;
pub(crate) mod forward;
pub(crate) mod headers;
pub(crate) mod health;
pub(crate) mod holders;
pub(crate) mod idempotency;
pub(crate) mod log;
pub(crate) mod oauth;
pub(crate) mod openapi;
pub(crate) mod pages;
mod password_link;
pub(crate) mod proxy_hint;
pub(crate) mod refusals;
pub(crate) mod remembered;
pub(crate) mod rest;

pub(crate) use forward::PATH as FORWARD_PATH;
pub(crate) use password_link::password_link;
