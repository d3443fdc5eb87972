//! `tessera`: a self-hosted authority for API tokens, in one program.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | the command line: one file per command |
//! | [`config`] | defaults < file < environment < flags |
//! | [`data_folder`] | its lock and its keys |
//! | [`postgres`] | the embedded database |
//! | [`runtime`] | puts keys, database and the core together, for the server and for commands |
//! | [`serve`] | the server: start, readiness, drain, stop |
//! | [`http`], [`console`], [`assets`] | what it answers |
//! | [`metrics`] | what it tells those who watch it |
//! | [`surfaces`] | what it answers in the words of other products |
//! | [`open_files`] | how many sockets there may be |
//! | [`telemetry`] | the log |
//!
//! Invariants: only [`authority`] decides anything; nothing here reads the clock or random bytes but
//! through it; a secret is printed where this is the purpose of a command, and written to no log.

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

/// Gives memory back to the system soon after a burst of requests, which glibc's allocator does not
/// (`BENCHMARKS.md` has the measurement).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
