//! `tessera invitation list`.

use domain::{names::Slug, workspace::Invitation};

use crate::{
    cli::{
        Failure,
        member::grants,
        session::{self, Expect},
        slug,
    },
    config::Config,
    output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Returns the person who invites. For a token, this is the person who created it, with the token's
/// name.
fn inviter(invitation: &Invitation) -> String {
    match &invitation.token {
        None => invitation.invited_by.email.clone(),
        Some(token) => {
            let made_by = token.made_by.as_ref().map_or("command line", |maker| &maker.email);
            format!("{made_by} (token {})", token.name)
        }
    }
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
                inviter(invitation),
                output::moment(Some(invitation.expires_at), ""),
            ]
        })
        .collect();
    Ok(output::table(&["ID", "EMAIL", "ROLE", "GRANTS", "INVITED BY", "EXPIRES"], &rows)?)
}
