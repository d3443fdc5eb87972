//! `tessera user …`.

mod create;
mod list;
mod remove;
mod reset_password;
mod switch;

use authority::{ChangedUser, KnownSecrets};
use clap::Subcommand;

use super::{Failure, output::tokens};
use crate::config::Config;

/// The choice about secrets that a user may know.
#[derive(Debug, clap::Args)]
pub(super) struct Known {
    /// Disable or keep the tokens of others whose secrets the user may know, and the passwords the
    /// user gave to other administrators
    #[arg(long, value_name = "WHAT", default_value = "disable")]
    known_secrets: KnownSecrets,
}

/// Describes what was revoked together with a user's rights.
fn ended(changed: &ChangedUser) -> String {
    let (stopped, disabled) = (tokens(changed.stopped_tokens), tokens(changed.disabled_tokens));
    let text = format!("Stopped {stopped} of this user. Disabled {disabled} of other users.");
    if changed.ended_passwords.is_empty() {
        return text;
    }
    format!("{text} Invalidated the passwords of: {}.", changed.ended_passwords.join(", "))
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a person or a service account and print the user's ID
    Create(create::Args),
    /// List users
    List(list::Args),
    /// Disable a user: end the user's sessions and stop the user's tokens at once
    Disable(switch::DisableArgs),
    /// Enable a user again
    Enable(switch::EnableArgs),
    /// Print a one-time link with which a person sets a new password
    ResetPassword(reset_password::Args),
    /// Remove a user permanently
    Remove(remove::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Disable(arguments) => switch::disable(arguments, config).await,
        Command::Enable(arguments) => switch::enable(arguments, config).await,
        Command::ResetPassword(arguments) => reset_password::run(arguments, config).await,
        Command::Remove(arguments) => remove::run(arguments, config).await,
    }
}
