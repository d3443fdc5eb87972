//! `tessera invitation …`: invitations from administrators of workspaces.

mod list;
mod revoke;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the pending invitations of a workspace
    List(list::Args),
    /// Revoke an invitation, so that it can no longer be accepted
    Revoke(revoke::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Revoke(arguments) => revoke::run(arguments, config).await,
    }
}
