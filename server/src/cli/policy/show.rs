//! `tessera policy show`.

use domain::{names::Slug, policy_view::Rule};

use super::{level, rule::value_of};
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
    /// The workspace [default: the instance]
    #[arg(long, value_parser = slug)]
    workspace: Option<Slug>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let level = level(arguments.workspace);
    let view = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.policies().show(&session.context(), &level).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&view)?);
    }
    let rows: Vec<Vec<String>> = Rule::ALL
        .iter()
        .map(|rule| {
            let source = view.sources.get(rule).map_or("", |source| source.as_str());
            vec![rule.as_str().to_owned(), value_of(*rule, &view.effective), source.to_owned()]
        })
        .collect();
    Ok(output::table(&["RULE", "VALUE", "FROM"], &rows)?)
}
