//! `tessera audience create`: prints the new audience's name.

use authority::NewAudience;

use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::{self, remark},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name in requests, such as billing
    audience: String,
    /// Name for people
    #[arg(long)]
    name: String,
    /// What the API does
    #[arg(long, default_value = "")]
    description: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let Args { audience: slug, name, description, json } = arguments;
    let new = NewAudience { slug, name, description };
    let audience = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.catalogues().create_audience(&session.context(), new).await?)
    })
    .await?;
    if json {
        return Ok(output::json(&audience)?);
    }
    output::line(audience.catalogue.audience.as_ref())?;
    remark(&format!("Created audience {}. Load or add its scopes next.", audience.catalogue.name));
    Ok(())
}
