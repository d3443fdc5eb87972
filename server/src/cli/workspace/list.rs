//! `tessera workspace list`.

use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let cards = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.workspaces().list(&session.context()).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&cards)?);
    }
    let rows: Vec<Vec<String>> = cards
        .iter()
        .map(|card| {
            vec![
                card.workspace.slug.to_string(),
                card.workspace.name.to_string(),
                card.counts.total.to_string(),
                card.counts.active.to_string(),
            ]
        })
        .collect();
    Ok(output::table(&["SLUG", "NAME", "TOKENS", "ACTIVE"], &rows)?)
}
