//! `tessera config …`.

mod check;

use clap::Subcommand;

use super::{Failure, flags::Flags};

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the effective values and their sources; secrets are not shown
    Check(check::Args),
}

pub(super) fn run(command: &Command, flags: &Flags) -> Result<(), Failure> {
    match command {
        Command::Check(arguments) => check::run(arguments, flags),
    }
}
