//! `tessera user enable USER`.

use authority::UserChange;

use super::{super::Failure, switch};
use crate::config::Config;

/// Arguments of `tessera user enable`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address or ID of the user
    user: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let Args { user, json } = arguments;
    let change = UserChange { enabled: Some(true), ..UserChange::default() };
    switch(&user, change, json, config).await
}
