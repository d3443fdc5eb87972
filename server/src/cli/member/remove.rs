//! `tessera member remove USER`.

use authority::KnownSecrets;
use domain::names::Slug;
use serde_json::json;

use super::find;
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
        slug,
    },
    config::Config,
    output::{self, remark, tokens},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address or ID of the member
    user: String,
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// Disable or keep the tokens of others whose secrets the user may know
    #[arg(long, value_name = "WHAT", default_value = "disable")]
    known_secrets: KnownSecrets,
    /// Print what was stopped as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let workspace = &arguments.workspace;
        let found = find(session, workspace, &arguments.user).await?;
        let workspaces = session.authority.workspaces();
        let (context, user) = (session.context(), found.user.id);
        let known = arguments.known_secrets;
        let removed = workspaces.remove_member_and(&context, workspace, user, None, known).await?;
        if arguments.json {
            output::json(&json!({
                "stopped_tokens": removed.stopped_tokens,
                "disabled_tokens": removed.disabled_tokens,
            }))?;
        }
        remark(&format!(
            "Removed {} from {workspace}. Stopped {} of this user. Disabled {} of other users.",
            removed.member.user.email,
            tokens(removed.stopped_tokens),
            tokens(removed.disabled_tokens)
        ));
        Ok(())
    })
    .await
}
