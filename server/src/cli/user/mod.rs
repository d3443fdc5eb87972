//! `tessera user …`.

mod create;
mod list;
mod remove;
mod reset_password;
mod switch;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a person or a service account and print its id
    Create(create::Args),
    /// List users
    List(list::Args),
    /// Disable a user: end its sessions and stop its tokens at once
    Disable(switch::Args),
    /// Enable a user again
    Enable(switch::Args),
    /// Print a one-time link with which a person sets a new password
    ResetPassword(reset_password::Args),
    /// Remove a user for good
    Remove(remove::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Disable(arguments) => switch::run(arguments, false, config).await,
        Command::Enable(arguments) => switch::run(arguments, true, config).await,
        Command::ResetPassword(arguments) => reset_password::run(arguments, config).await,
        Command::Remove(arguments) => remove::run(arguments, config).await,
    }
}
