//! `tessera invitation …`: invitations that administrators of workspaces sent.

mod list;
mod revoke;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the invitations of a workspace that were not accepted and have not expired
    List(list::Args),
    /// Revoke an invitation; nobody can accept it any more
    Revoke(revoke::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Revoke(arguments) => revoke::run(arguments, config).await,
    }
}
