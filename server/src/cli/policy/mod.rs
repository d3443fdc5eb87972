//! `tessera policy …`.

mod preview;
mod rule;
mod set;
mod show;

pub(super) use preview::preview_text;

use authority::PolicyLevel;
use clap::Subcommand;
use domain::names::Slug;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the rules for tokens and the source of each
    Show(show::Args),
    /// Set or clear rules
    Set(set::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show::run(arguments, config).await,
        Command::Set(arguments) => set::run(arguments, config).await,
    }
}

/// Returns the level that a command applies to.
pub(super) fn level(workspace: Option<Slug>) -> PolicyLevel {
    workspace.map_or(PolicyLevel::Instance, PolicyLevel::Workspace)
}
