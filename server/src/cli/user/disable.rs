//! `tessera user disable USER`.

use authority::UserChange;

use super::{super::Failure, Known, switch};
use crate::config::Config;

/// Arguments of `tessera user disable`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address or ID of the user
    user: String,
    #[command(flatten)]
    known: Known,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let Args { user, known, json } = arguments;
    let known_secrets = known.known_secrets;
    let change = UserChange { enabled: Some(false), known_secrets, ..UserChange::default() };
    switch(&user, change, json, config).await
}
