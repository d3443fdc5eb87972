//! `tessera scopes …`.

mod add;
mod changes;
mod delete;
mod import_openapi;
mod list;
mod load;
mod retire;

use clap::Subcommand;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create or replace the scopes of an audience from a TOML or JSON file
    Load(load::Args),
    /// Create or replace the scopes of an audience from an OpenAPI document
    ImportOpenapi(import_openapi::Args),
    /// List audiences and their scopes
    List(list::Args),
    /// Add a scope
    Add(add::Args),
    /// Retire a scope, so that no token has it any more; --dry-run shows the tokens that use it
    Retire(retire::Args),
    /// Make a retired scope available again
    Unretire(retire::BackArgs),
    /// Delete a scope that no token has
    Delete(delete::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Load(arguments) => load::run(arguments, config).await,
        Command::ImportOpenapi(arguments) => import_openapi::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Add(arguments) => add::run(arguments, config).await,
        Command::Retire(arguments) => retire::run(arguments, config).await,
        Command::Unretire(arguments) => retire::back(arguments, config).await,
        Command::Delete(arguments) => delete::run(arguments, config).await,
    }
}
