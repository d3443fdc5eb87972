//! The command line: one file per command.
//!
//! A command parses its arguments, opens the [`session`] (with the same database and keys as the
//! server), calls one service as [`authority::Actor::Operator`], and prints the result. Standard
//! output contains only the result, so that it can be piped. Remarks go to standard error.
//!
//! Exit status: 0 for success; 2 for a wrong command line; 1 for any other failure, with one plain
//! line.
//!
//! To add a command, add a file with its `Args` and `run`, a variant here, and a test in
//! `tests/all/ops_cli.rs`.

mod admin;
mod ask;
mod audience;
mod audit;
mod completions;
mod config;
mod doctor;
mod failure;
mod flags;
mod instance;
mod invitation;
mod member;
mod migrate;
mod openapi;
mod policy;
mod preset;
mod scopes;
mod serve;
mod session;
mod sessions;
mod token;
mod user;
mod workspace;

use std::{future::Future, process::ExitCode};

use clap::{Parser, Subcommand};
use domain::names::Slug;

use self::{
    failure::Failure,
    flags::{Flags, ServerFlags},
};
use crate::{config::Config, serve::Signals, telemetry};

/// Issues API tokens, and reports to APIs what each token may do.
#[derive(Debug, Parser)]
#[command(name = "tessera", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server, with its embedded database unless another one is configured
    Serve(ServerFlags),
    /// Manage administrators
    #[command(subcommand)]
    Admin(admin::Command),
    /// Read and verify the audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Create, list, show, change, rotate, delete, import and export tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Create and list workspaces
    #[command(subcommand)]
    Workspace(workspace::Command),
    /// Create, list and delete audiences: the APIs that tokens are for
    #[command(subcommand)]
    Audience(audience::Command),
    /// Show the database and the servers of this instance
    #[command(subcommand)]
    Instance(instance::Command),
    /// Add, list, change and remove members of workspaces
    #[command(subcommand)]
    Member(member::Command),
    /// List and revoke invitations to workspaces
    #[command(subcommand)]
    Invitation(invitation::Command),
    /// Create, list, disable, enable and remove people and service accounts
    #[command(subcommand)]
    User(user::Command),
    /// List and end sessions of people
    #[command(subcommand)]
    Session(sessions::Command),
    /// Show and set the rules for tokens
    #[command(subcommand)]
    Policy(policy::Command),
    /// Set all rules for tokens in one step
    #[command(subcommand)]
    Preset(preset::Command),
    /// Manage the scopes of audiences
    #[command(subcommand)]
    Scopes(scopes::Command),
    /// Bring the database's schema up to date
    Migrate,
    /// Check this installation for problems
    Doctor(doctor::Args),
    /// Check the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Print the OpenAPI description of Tessera's own API or of another product's API
    Openapi(openapi::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let flags = &cli.flags;
    match cli.command {
        Command::Serve(server) => serve::run(&flags.load(&server)?),
        Command::Admin(command) => asking(flags, |config| admin::run(command, config)),
        Command::Audit(command) => asking(flags, |config| audit::run(command, config)),
        Command::Token(command) => asking(flags, |config| token::run(command, config)),
        Command::Workspace(command) => asking(flags, |config| workspace::run(command, config)),
        Command::Audience(command) => asking(flags, |config| audience::run(command, config)),
        Command::Instance(command) => asking(flags, |config| instance::run(command, config)),
        Command::Member(command) => asking(flags, |config| member::run(command, config)),
        Command::Invitation(command) => asking(flags, |config| invitation::run(command, config)),
        Command::User(command) => asking(flags, |config| user::run(command, config)),
        Command::Session(command) => asking(flags, |config| sessions::run(command, config)),
        Command::Policy(command) => asking(flags, |config| policy::run(command, config)),
        Command::Preset(command) => asking(flags, |config| preset::run(command, config)),
        Command::Scopes(command) => asking(flags, |config| scopes::run(command, config)),
        Command::Migrate => asking(flags, migrate::run),
        Command::Doctor(arguments) => {
            let config = flags.load(arguments.server());
            block_on(doctor::run(arguments, config))
        }
        Command::Config(command) => config::run(&command, flags),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// Parses a workspace's slug.
fn slug(text: &str) -> Result<Slug, String> {
    text.parse().map_err(|error| format!("a workspace {error}"))
}

/// Runs a command that uses the database.
fn asking<F>(flags: &Flags, command: impl FnOnce(Config) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let config = flags.load(&ServerFlags::default())?;
    // The command prints its own messages, so by default only errors of the log matter.
    let filter = if flags.log_is_given() { config.log.clone() } else { "error".to_owned() };
    telemetry::start(&filter, config.log_format);
    block_on(command(config))
}

/// Runs the command until it returns or a signal arrives. Dropping the future stops a database that
/// it started.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::catch()?;
        tokio::select! {
            ended = command => ended,
            _ = signals.recv() => Err(Failure::Interrupted),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
