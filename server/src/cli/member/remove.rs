//! `tessera member remove USER`.

use domain::names::Slug;

use super::{
    super::{
        Failure,
        output::remark,
        session::{self, Expect},
        slug,
    },
    find,
};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address or id of the member
    user: String,
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let workspace = &arguments.workspace;
        let found = find(session, workspace, &arguments.user).await?;
        let workspaces = session.authority.workspaces();
        let removed =
            workspaces.remove_member(&session.context(), workspace, found.user.id, None).await?;
        remark(&format!(
            "Removed {} from {workspace}. Tokens that stopped: {}.",
            removed.member.user.email, removed.stopped_tokens
        ));
        Ok(())
    })
    .await
}
