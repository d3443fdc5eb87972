//! `tessera member add USER`.

use authority::{Added, NewMember};
use domain::{names::Slug, roles::WorkspaceRole};

use super::grants;
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
pub(crate) struct Args {
    /// E-mail address or ID of a user of the instance
    user: String,
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// The role: admin, member, viewer or verifier
    #[arg(long)]
    role: WorkspaceRole,
    /// A pattern of the scopes that the member may grant to tokens: *, rivers:* or rivers:read; may
    /// be given more than once [default: determined by the role]
    #[arg(long, value_name = "PATTERN")]
    grant: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let new = NewMember {
            user: arguments.user,
            role: arguments.role,
            grants: (!arguments.grant.is_empty()).then_some(arguments.grant),
        };
        let workspaces = session.authority.workspaces();
        let added = workspaces.add_member(&session.context(), &arguments.workspace, new).await?;
        match added {
            Added::Member(member) => {
                if arguments.json {
                    output::json(&member)?;
                }
                remark(&format!(
                    "Added {} to {} as {}; grants: {}.",
                    member.user.email,
                    arguments.workspace,
                    member.role,
                    grants(member.grants.as_deref())
                ));
            }
            // The command line manages the whole instance, which adds members without an
            // invitation.
            Added::Invited(invitation) => {
                remark(&format!("Invited {} to {}.", invitation.email, arguments.workspace));
            }
        }
        Ok(())
    })
    .await
}
