//! `tessera member change USER`.

use authority::{GrantsChange, KnownSecrets, MemberChange};
use domain::{names::Slug, roles::WorkspaceRole, workspace::Member};
use serde::Serialize;

use super::{find, grants};
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
        slug,
    },
    config::Config,
    output::{self, remark},
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct Args {
    /// E-mail address or ID of the member
    user: String,
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// The new role: admin, member, viewer or verifier
    #[arg(long, group = "what")]
    role: Option<WorkspaceRole>,
    /// A pattern of the scopes that the member may grant to tokens; may be given more than once
    #[arg(long, value_name = "PATTERN", group = "what")]
    grant: Vec<String>,
    /// Let the role determine the grants
    #[arg(long, group = "what", conflicts_with = "grant")]
    grants_by_role: bool,
    /// If the member's rights are reduced, disable or keep the tokens of others whose secrets the
    /// member may know
    #[arg(long, value_name = "WHAT", default_value = "disable")]
    known_secrets: KnownSecrets,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The same fields as in the API.
#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    member: &'a Member,
    disabled_tokens: i64,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let workspace = &arguments.workspace;
        let found = find(session, workspace, &arguments.user).await?;
        let wanted = if arguments.grants_by_role {
            GrantsChange::ByRole
        } else if arguments.grant.is_empty() {
            GrantsChange::Keep
        } else {
            GrantsChange::Patterns(arguments.grant)
        };
        let known_secrets = arguments.known_secrets;
        let change = MemberChange { role: arguments.role, grants: wanted, known_secrets };
        let workspaces = session.authority.workspaces();
        let changed = workspaces
            .change_member(&session.context(), workspace, found.user.id, change, None)
            .await?;
        let member = &changed.member;
        if arguments.json {
            output::json(&Changed { member, disabled_tokens: changed.disabled_tokens })?;
        }
        remark(&format!(
            "{} is now {} in {workspace}; grants: {}. Disabled {}.",
            member.user.email,
            member.role,
            grants(member.grants.as_deref()),
            output::tokens(changed.disabled_tokens)
        ));
        Ok(())
    })
    .await
}
