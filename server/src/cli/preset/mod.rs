//! `tessera preset …`.

mod apply;
mod list;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what a preset would change, and apply it
    Apply(apply::Args),
    /// List presets
    List(list::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Apply(arguments) => apply::run(arguments, config).await,
        Command::List(arguments) => list::run(&arguments),
    }
}
