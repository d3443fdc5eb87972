//! `tessera audit list`: lists the latest changes.

use super::Rows;
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::{self, moment},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rows: Rows,
    /// The maximum number of changes to list, 1 to 1000
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let (scope, query) = arguments.rows.read(arguments.limit);
    let page = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.audit().list(&session.context(), &scope, &query).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&page.items)?);
    }
    let rows: Vec<Vec<String>> = page
        .items
        .into_iter()
        .map(|row| {
            vec![
                moment(Some(row.at), "-"),
                row.workspace.unwrap_or_else(|| "-".to_owned()),
                row.actor_name,
                row.action,
                row.subject_name,
                row.surface,
                row.client_ip.unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    Ok(output::table(
        &["AT", "WORKSPACE", "ACTOR", "ACTION", "SUBJECT", "SURFACE", "ADDRESS"],
        &rows,
    )?)
}
