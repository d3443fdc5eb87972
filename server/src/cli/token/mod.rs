//! `tessera token …`.

mod create;
mod delete;
mod export;
mod import;
mod list;
mod show;
mod usage;

use clap::Subcommand;
use domain::{ids::TokenId, names::Slug};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Failure;
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
    /// Show how often a token was presented
    Usage(usage::Args),
    /// Delete a token for good: it can never be used again
    Delete(delete::Args),
    /// Import tokens that another system holds as SHA-256 digests
    Import(import::Args),
    /// Print the records of all tokens of a workspace, never a digest or a secret
    Export(export::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Show(arguments) => show::run(arguments, config).await,
        Command::Usage(arguments) => usage::run(arguments, config).await,
        Command::Delete(arguments) => delete::run(arguments, config).await,
        Command::Import(arguments) => import::run(arguments, config).await,
        Command::Export(arguments) => export::run(arguments, config).await,
    }
}

/// Reads a workspace's slug.
pub(super) fn slug(text: &str) -> Result<Slug, String> {
    text.parse().map_err(|error| format!("a workspace {error}"))
}

/// Reads a token's id.
fn id(text: &str) -> Result<TokenId, String> {
    text.parse().map_err(|_| "is no id of a token; tessera token list shows them".to_owned())
}

/// A moment as people and programs read it.
pub(super) fn moment(moment: Option<OffsetDateTime>, otherwise: &str) -> String {
    moment
        .and_then(|moment| moment.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
        .unwrap_or_else(|| otherwise.to_owned())
}
