//! `tessera`: a self-hosted authority for API tokens, in one program.
//!
//! The modules, from the top to the bottom: each depends only on those below it
//! (`tools/layers.toml`).
//!
//! | module | contents |
//! |---|---|
//! | [`cli`] | the command line: one file per command |
//! | [`serve`] | the server: start, readiness, drain, stop |
//! | [`router`] | the routes of everything below, and the layers of each |
//! | [`console`], [`surfaces`] | the console, and the APIs of other products |
//! | [`http`] | Tessera's own API, and the parts that all interfaces share |
//! | [`state`] | the state that every request handler gets |
//! | [`limits`] | limits on what callers may cost |
//! | [`request`] | the head of a request: peer, host, origin, cookies, credentials |
//! | [`assets`], [`metrics`] | the console's files, and the numbers for Prometheus |
//! | [`problem`] | errors as responses |
//! | [`runtime`] | connects keys, database and core, for the server and for commands |
//! | [`postgres`] | the embedded database |
//! | [`database`] | the database's URLs, and its errors for an operator |
//! | [`data_folder`] | its lock and its keys |
//! | [`telemetry`] | the log |
//! | [`open_files`] | the limits of connections that follow from the limit of open files |
//! | [`config`] | defaults < file < environment < flags |
//! | [`dialect`] | the names of the products whose APIs can be served |
//! | [`output`] | printing |
//!
//! Invariants: only [`authority`] makes decisions; this crate reads the clock and random bytes only
//! through it; only a command whose purpose it is prints a secret, and no log contains one.

mod assets;
mod cli;
mod config;
mod console;
mod data_folder;
mod database;
mod dialect;
#[cfg(test)]
mod documents;
mod http;
mod limits;
mod metrics;
mod open_files;
mod output;
mod postgres;
mod problem;
mod request;
mod router;
mod runtime;
mod serve;
mod state;
mod surfaces;
mod telemetry;

use std::process::ExitCode;

/// Returns memory to the system soon after a burst of requests, which glibc's allocator does not do
/// (`BENCHMARKS.md` has the measurement).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
