//! `tessera scopes list`.

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
    /// Only this audience
    #[arg(long)]
    audience: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let mut catalogues = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.catalogues().list(&session.context()).await?)
    })
    .await?;
    if let Some(wanted) = &arguments.audience {
        catalogues.retain(|catalogue| catalogue.audience.as_ref() == wanted);
        if catalogues.is_empty() {
            return Err(Failure::new(format_args!("audience {wanted} does not exist")));
        }
    }
    if arguments.json {
        return Ok(output::json(&catalogues)?);
    }
    let mut rows = Vec::new();
    for catalogue in &catalogues {
        for group in &catalogue.groups {
            for scope in &group.scopes {
                let implied: Vec<_> = scope.implies.iter().map(ToString::to_string).collect();
                rows.push(vec![
                    catalogue.audience.to_string(),
                    scope.name.to_string(),
                    implied.join(" "),
                    scope.description.to_string(),
                ]);
            }
        }
    }
    Ok(output::table(&["AUDIENCE", "SCOPE", "IMPLIES", "DESCRIPTION"], &rows)?)
}
