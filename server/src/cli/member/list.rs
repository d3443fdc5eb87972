//! `tessera member list`.

use domain::names::Slug;

use super::grants;
use crate::{
    cli::{
        Failure,
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

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let members = session::with(&config, Expect::Existing, async |session| {
        let workspaces = session.authority.workspaces();
        Ok(workspaces.members(&session.context(), &arguments.workspace).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&members)?);
    }
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            vec![
                member.user.id.to_string(),
                member.user.email.clone(),
                member.user.name.clone(),
                member.role.to_string(),
                grants(member.grants.as_deref()),
                if member.enabled { "yes" } else { "no" }.to_owned(),
                member.tokens.to_string(),
            ]
        })
        .collect();
    Ok(output::table(&["ID", "EMAIL", "NAME", "ROLE", "GRANTS", "ENABLED", "TOKENS"], &rows)?)
}
