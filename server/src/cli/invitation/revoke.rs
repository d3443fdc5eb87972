//! `tessera invitation revoke ID`.

use domain::{ids::InvitationId, names::Slug};

use crate::{
    cli::{
        Failure,
        session::{self, Expect},
        slug,
    },
    config::Config,
    output::remark,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// ID of the invitation
    id: InvitationId,
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let invitations = session.authority.invitations();
        invitations.revoke(&session.context(), &arguments.workspace, arguments.id).await?;
        remark("Revoked the invitation.");
        Ok(())
    })
    .await
}
