//! The head of a request: who sent it, to which host, from which page, and with which credential.
//!
//! - `client_ip`, `host`, `origin`: the peer and the client behind it, the host, and the page that
//!   made a browser send the request, each with its checks.
//! - `cookies`, `credentials`: sessions and tokens.
//! - `id`: the id that the server gives the request.
//! - `health`: which requests are health checks.

pub(crate) mod client_ip;
pub(crate) mod cookies;
pub(crate) mod credentials;
pub(crate) mod health;
pub(crate) mod host;
pub(crate) mod id;
pub(crate) mod origin;
