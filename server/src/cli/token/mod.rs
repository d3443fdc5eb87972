//! `tessera token …`.

mod create;
mod delete;
mod list;
mod show;

use clap::Subcommand;
use domain::ids::TokenId;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Failure, slug};
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a token and print its secret, this once
    Create(create::Args),
    /// List the tokens of a workspace
    List(list::Args),
    /// Show a token, never its secret
    Show(show::Args),
    /// Delete a token for good: it can never be used again
    Delete(delete::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Show(arguments) => show::run(arguments, config).await,
        Command::Delete(arguments) => delete::run(arguments, config).await,
    }
}

/// Reads a token's id.
fn id(text: &str) -> Result<TokenId, String> {
    text.parse().map_err(|_| "is no id of a token; tessera token list shows them".to_owned())
}

/// A moment as people and programs read it.
fn moment(moment: Option<OffsetDateTime>, otherwise: &str) -> String {
    moment
        .and_then(|moment| moment.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
        .unwrap_or_else(|| otherwise.to_owned())
}
