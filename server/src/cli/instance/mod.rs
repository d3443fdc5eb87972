//! `tessera instance …`: the running instance.

mod show;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the database and the servers that use it
    Show(show::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show::run(arguments, config).await,
    }
}
