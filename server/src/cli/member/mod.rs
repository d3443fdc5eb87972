//! `tessera member …`.

mod add;
mod change;
mod list;
mod remove;

use clap::Subcommand;
use domain::{grants::GrantPattern, names::Slug, workspace::Member};

use super::{Failure, session::Session};
use crate::config::Config;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a user a member of a workspace
    Add(add::Args),
    /// List the members of a workspace
    List(list::Args),
    /// Change a member's role or grants
    Change(change::Args),
    /// Remove a member; the user's tokens in the workspace stop working immediately
    Remove(remove::Args),
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Add(arguments) => add::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Change(arguments) => change::run(arguments, config).await,
        Command::Remove(arguments) => remove::run(arguments, config).await,
    }
}

/// Finds the member with this address or ID.
async fn find(session: &Session, workspace: &Slug, user: &str) -> Result<Member, Failure> {
    let members = session.authority.workspaces().members(&session.context(), workspace).await?;
    let wanted = user.trim().to_lowercase();
    members
        .into_iter()
        .find(|member| member.user.email == wanted || member.user.id.to_string() == wanted)
        .ok_or_else(|| Failure::new(format_args!("{wanted} is not a member of {workspace}")))
}

/// Formats grants for people.
pub(super) fn grants(grants: Option<&[GrantPattern]>) -> String {
    match grants {
        None => "by role".to_owned(),
        Some([]) => "none".to_owned(),
        Some(patterns) => patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}
