//! `tessera scopes load FILE`: replaces the scopes of an audience with those in the file.

use std::path::PathBuf;

use authority::catalogue_file;

use super::{
    super::Failure,
    changes::{self, Loading},
};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalogue, TOML or JSON; - is standard input
    file: PathBuf,
    #[command(flatten)]
    loading: Loading,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let path = arguments.file.display();
    let catalogue = catalogue_file::parse(&changes::read(&arguments.file)?)
        .map_err(|error| Failure::new(format_args!("{path}: {error}")))?;
    changes::load(catalogue, arguments.loading, &config).await
}
