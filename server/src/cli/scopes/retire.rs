//! `tessera scopes retire SCOPE` and `unretire`.

use domain::{catalogue::ScopeName, names::AudienceSlug};

use super::changes;
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::{self, remark},
};

/// Arguments of `tessera scopes retire`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The scope's name, or its pattern as in the catalogue
    scope: ScopeName,
    /// The scope's audience
    #[arg(long)]
    audience: AudienceSlug,
    /// Only show which tokens would lose the scope
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `tessera scopes unretire`.
#[derive(Debug, clap::Args)]
pub(crate) struct BackArgs {
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
    let Args { scope, audience, dry_run, json } = arguments;
    let retired = session::with(&config, Expect::Existing, async |session| {
        let catalogues = session.authority.catalogues();
        let ctx = session.context();
        Ok(catalogues.retire_scope(&ctx, &audience, &scope, dry_run, None).await?)
    })
    .await?;
    if json {
        return Ok(output::json(&serde_json::json!({
            "dry_run": dry_run, "scope": retired.scope, "uses": retired.uses,
        }))?);
    }
    if !dry_run {
        remark(&format!("Retired {scope}: no token has it any more."));
    }
    changes::tell_uses(&retired.uses, dry_run)
}

pub(super) async fn back(arguments: BackArgs, config: Config) -> Result<(), Failure> {
    let BackArgs { scope, audience, json } = arguments;
    let (entry, _) = session::with(&config, Expect::Existing, async |session| {
        let catalogues = session.authority.catalogues();
        Ok(catalogues.unretire_scope(&session.context(), &audience, &scope, None).await?)
    })
    .await?;
    if json {
        return Ok(output::json(&entry)?);
    }
    remark(&format!("{scope} is available again."));
    Ok(())
}
