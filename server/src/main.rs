//! `tessera`: a self-hosted authority for API tokens, in one program.
//!
//! | module | contents |
//! |---|---|
//! | [`cli`] | the command line: one file per command |
//! | [`config`] | defaults < file < environment < flags |
//! | [`data_folder`] | its lock and its keys |
//! | [`postgres`] | the embedded database |
//! | [`runtime`] | connects keys, database and core, for the server and for commands |
//! | [`serve`] | the server: start, readiness, drain, stop |
//! | [`http`], [`console`], [`assets`] | Tessera's own API, the console and its files |
//! | [`metrics`] | the numbers for Prometheus |
//! | [`surfaces`] | the APIs of other products |
//! | [`open_files`] | the limits of connections that follow from the limit of open files |
//! | [`telemetry`] | the log |
//!
//! Invariants: only [`authority`] makes decisions; this crate reads the clock and random bytes only
//! through it; only a command whose purpose it is prints a secret, and no log contains one.

mod assets;
mod cli;
mod config;
mod console;
mod data_folder;
mod http;
mod metrics;
mod open_files;
mod postgres;
mod runtime;
mod serve;
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
