//! `tessera audience …`.

mod create;
mod delete;
mod list;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create an audience without scopes and print its name
    Create(create::Args),
    /// List audiences
    List(list::Args),
    /// Delete an audience that nothing uses
    Delete(delete::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Delete(arguments) => delete::run(arguments, config).await,
    }
}
