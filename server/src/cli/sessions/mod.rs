//! `tessera session …`: sessions of signed-in people.

mod end;
mod list;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List sessions that have not expired
    List(list::Args),
    /// End a session, or all sessions of a user
    End(end::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments, config).await,
        Command::End(arguments) => end::run(arguments, config).await,
    }
}
