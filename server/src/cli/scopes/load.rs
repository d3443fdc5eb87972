//! `tessera scopes load FILE`: an audience then has just the scopes of the file.

use std::{fs, io::Read as _, path::PathBuf};

use authority::catalogue_file;

use super::super::{
    Failure,
    output::remark,
    session::{self, Expect},
};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalogue, TOML; - is standard input
    file: PathBuf,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let path = arguments.file.display();
    let mut text = String::new();
    let read = if arguments.file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        fs::read_to_string(&arguments.file).map(|content| text = content)
    };
    read.map_err(|error| Failure::new(format_args!("cannot read {path}: {error}")))?;
    let catalogue = catalogue_file::parse_toml(&text)
        .map_err(|error| Failure::new(format_args!("{path}: {error}")))?;
    let audience = catalogue.audience.clone();
    let loaded = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.catalogues().load(&session.context(), catalogue).await?)
    })
    .await?;
    remark(&format!(
        "Loaded the audience {audience}. Scopes: {} added, {} changed, {} removed.",
        loaded.added, loaded.changed, loaded.removed
    ));
    Ok(())
}
