//! `tessera audit …`.

mod export;
mod list;
mod verify;

use authority::{AuditQuery, AuditScope};
use clap::Subcommand;
use domain::{moments, names::Slug};
use time::OffsetDateTime;

use super::Failure;
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List changes, latest first
    List(list::Args),
    /// Check whether the log was changed other than by Tessera
    Verify(verify::Args),
    /// Print the log as CSV or JSON lines
    Export(export::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Verify(arguments) => verify::run(arguments, config).await,
        Command::Export(arguments) => export::run(arguments, config).await,
    }
}

/// The rows to select.
#[derive(Debug, clap::Args)]
struct Rows {
    /// The workspace [default: all workspaces, and changes outside of any]
    #[arg(long, value_parser = crate::cli::slug)]
    workspace: Option<Slug>,
    /// Only this action, or all actions that begin with it: token.create, token
    #[arg(long)]
    action: Option<String>,
    /// Only changes by this actor: an ID, or a part of the name
    #[arg(long)]
    actor: Option<String>,
    /// Only changes of this subject: an ID, or a part of the name
    #[arg(long)]
    subject: Option<String>,
    /// Only changes at or after this moment
    #[arg(long, value_name = "MOMENT", value_parser = moments::parse)]
    since: Option<OffsetDateTime>,
    /// Only changes before this moment
    #[arg(long, value_name = "MOMENT", value_parser = moments::parse)]
    until: Option<OffsetDateTime>,
}

impl Rows {
    fn read(self, limit: u16) -> (AuditScope, AuditQuery) {
        let scope = self.workspace.map_or(AuditScope::Instance, AuditScope::Workspace);
        let query = AuditQuery {
            action: self.action,
            actor: self.actor,
            subject: self.subject,
            since: self.since,
            until: self.until,
            limit,
            cursor: None,
        };
        (scope, query)
    }
}
