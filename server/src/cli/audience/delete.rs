//! `tessera audience delete`.

use domain::names::AudienceSlug;

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
    /// The audience's name in requests
    audience: AudienceSlug,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let Args { audience, json } = arguments;
    session::with(&config, Expect::Existing, async |session| {
        let catalogues = session.authority.catalogues();
        Ok(catalogues.delete_audience(&session.context(), &audience, None).await?)
    })
    .await?;
    if json {
        return Ok(output::json(&serde_json::json!({"deleted": audience}))?);
    }
    remark(&format!("Deleted audience {audience}."));
    Ok(())
}
