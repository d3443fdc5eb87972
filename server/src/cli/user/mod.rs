//! `tessera user …`.

mod create;
mod disable;
mod enable;
mod list;
mod remove;
mod reset_password;

use authority::{ChangedUser, KnownSecrets, UserChange};
use clap::Subcommand;
use domain::user::User;
use serde::Serialize;

use super::{
    Failure,
    session::{self, Expect},
};
use crate::{
    config::Config,
    output::{self, remark, tokens},
};

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
    Disable(disable::Args),
    /// Enable a user again
    Enable(enable::Args),
    /// Print a one-time link with which a person sets a new password
    ResetPassword(reset_password::Args),
    /// Remove a user permanently
    Remove(remove::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Disable(arguments) => disable::run(arguments, config).await,
        Command::Enable(arguments) => enable::run(arguments, config).await,
        Command::ResetPassword(arguments) => reset_password::run(arguments, config).await,
        Command::Remove(arguments) => remove::run(arguments, config).await,
    }
}

/// The same fields as in the API.
#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    user: &'a User,
    stopped_tokens: i64,
    disabled_tokens: i64,
    password_ended: bool,
    ended_passwords: &'a [String],
}

/// Enables or disables a user, and prints the outcome.
async fn switch(user: &str, change: UserChange, json: bool, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, users) = (session.context(), session.authority.users());
        let id = users.find(&context, user).await?.summary.id;
        let changed = users.change(&context, id, change, None).await?;
        let email = &changed.user.summary.email;
        if json {
            output::json(&Changed {
                user: &changed.user,
                stopped_tokens: changed.stopped_tokens,
                disabled_tokens: changed.disabled_tokens,
                password_ended: changed.password_ended,
                ended_passwords: &changed.ended_passwords,
            })?;
        }
        remark(&if changed.user.enabled {
            format!("Enabled {email}.")
        } else {
            format!("Disabled {email}. {}", ended(&changed))
        });
        Ok(())
    })
    .await
}
