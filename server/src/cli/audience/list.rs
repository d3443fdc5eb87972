//! `tessera audience list`.

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
    let audiences = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.catalogues().audiences(&session.context()).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&audiences)?);
    }
    let rows: Vec<Vec<String>> = audiences
        .iter()
        .map(|audience| {
            vec![
                audience.catalogue.audience.to_string(),
                audience.catalogue.scopes().count().to_string(),
                audience.catalogue.name.to_string(),
                audience.catalogue.description.to_string(),
            ]
        })
        .collect();
    Ok(output::table(&["AUDIENCE", "SCOPES", "NAME", "DESCRIPTION"], &rows)?)
}
