//! `tessera invitation list`.

use domain::names::Slug;

use super::super::{
    Failure,
    member::grants,
    output,
    session::{self, Expect},
    slug,
};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let invitations = session::with(&config, Expect::Existing, async |session| {
        let invitations = session.authority.invitations();
        Ok(invitations.of_workspace(&session.context(), &arguments.workspace).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&invitations)?);
    }
    let rows: Vec<Vec<String>> = invitations
        .iter()
        .map(|invitation| {
            vec![
                invitation.id.to_string(),
                invitation.email.clone(),
                invitation.role.to_string(),
                grants(invitation.grants.as_deref()),
                invitation.invited_by.email.clone(),
                output::moment(Some(invitation.expires_at), ""),
            ]
        })
        .collect();
    Ok(output::table(&["ID", "EMAIL", "ROLE", "GRANTS", "INVITED BY", "EXPIRES"], &rows)?)
}
