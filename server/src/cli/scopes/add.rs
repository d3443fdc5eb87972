//! `tessera scopes add SCOPE`.

use authority::NewScope;
use clap::ValueEnum;
use domain::{catalogue::Risk, names::AudienceSlug};

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
    /// The scope's name, or a pattern of URIs
    scope: String,
    /// The scope's audience
    #[arg(long)]
    audience: AudienceSlug,
    /// The scope's group, which is created if it does not exist
    #[arg(long)]
    group: String,
    /// The access that the scope gives
    #[arg(long, default_value = "")]
    description: String,
    /// The harm that the scope can do
    #[arg(long, value_enum, default_value_t = RiskName::Read)]
    risk: RiskName,
    /// Scopes that this scope includes
    #[arg(long, num_args = 1..)]
    implies: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A [`Risk`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RiskName {
    Read,
    Write,
    Admin,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let new = NewScope {
        name: arguments.scope,
        description: arguments.description,
        risk: match arguments.risk {
            RiskName::Read => Risk::Read,
            RiskName::Write => Risk::Write,
            RiskName::Admin => Risk::Admin,
        },
        implies: arguments.implies,
        group: arguments.group,
        ..NewScope::default()
    };
    let (entry, _) = session::with(&config, Expect::Existing, async |session| {
        let catalogues = session.authority.catalogues();
        Ok(catalogues.add_scope(&session.context(), &arguments.audience, new, None).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&entry)?);
    }
    remark(&format!("Added {} to {}.", entry.scope.name, arguments.audience));
    Ok(())
}
