//! Shared code of the integration tests: a server started from the built binary on a free port with
//! its own data folder and database, its command line, and a small HTTP client.
//!
//! ```ignore
//! mod support;
//! let server = support::Server::start();
//! server.admin();
//! let answer = server.get("/healthz");
//! assert_eq!(answer.status, 200);
//! ```
//!
//! Nothing here waits for a fixed time: everything polls until a deadline.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that panics has failed"
)]

pub mod cluster;
pub mod command;
pub mod database;
pub mod http;
pub mod http2;
pub mod process;
pub mod server;
pub mod wait;

pub use cluster::Cluster;
pub use command::Tessera;
pub use http::{Answer, Request};
pub use server::{Server, ServerBuilder};
