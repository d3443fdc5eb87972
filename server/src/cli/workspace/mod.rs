//! `tessera workspace …`.

mod create;
mod list;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a workspace and print its slug
    Create(create::Args),
    /// List workspaces
    List(list::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
    }
}
