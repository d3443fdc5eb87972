//! `tessera scopes import-openapi FILE --audience A`: replaces the scopes of an audience with those
//! in an OpenAPI document.

use std::path::PathBuf;

use authority::openapi;
use domain::names::AudienceSlug;

use super::{
    super::Failure,
    changes::{self, Loading},
};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The document (OpenAPI 3.0 or 3.1), JSON or YAML; - is standard input
    file: PathBuf,
    /// The audience, which is created if it does not exist
    #[arg(long)]
    audience: AudienceSlug,
    #[command(flatten)]
    loading: Loading,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let path = arguments.file.display();
    let text = changes::read(&arguments.file)?;
    let catalogue = openapi::parse(&text)
        .and_then(|document| openapi::catalogue(&document, &arguments.audience))
        .map_err(|error| Failure::new(format_args!("{path} {error}")))?;
    changes::load(catalogue, arguments.loading, &config).await
}
