//! `tessera scopes delete SCOPE`.

use domain::{catalogue::ScopeName, names::AudienceSlug};

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
    /// The scope's name, or its pattern as in the catalogue
    scope: ScopeName,
    /// The scope's audience
    #[arg(long)]
    audience: AudienceSlug,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let Args { scope, audience, json } = arguments;
    session::with(&config, Expect::Existing, async |session| {
        let catalogues = session.authority.catalogues();
        Ok(catalogues.delete_scope(&session.context(), &audience, &scope, None).await?)
    })
    .await?;
    if json {
        return Ok(output::json(&serde_json::json!({"deleted": scope}))?);
    }
    remark(&format!("Deleted {scope} from {audience}."));
    Ok(())
}
