//! `tessera admin …`.

mod create;

pub(super) use create::password;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create an administrator; on a new instance also the organisation and "Workspace 1"
    Create(create::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
    }
}
