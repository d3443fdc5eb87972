//! `tessera scopes …`.

mod list;
mod load;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make or replace the scopes of an audience from a TOML file
    Load(load::Args),
    /// List audiences and their scopes
    List(list::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Load(arguments) => load::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
    }
}
