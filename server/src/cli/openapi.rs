//! `tessera openapi [--surface PRODUCT]`: prints the documents that the server serves at
//! `/api/openapi.json` and `/api/openapi/PRODUCT.json`.

use super::Failure;
use crate::{dialect::Dialect, http::openapi, output};

/// The description to print.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The product whose API to describe: devo, kriten or robust-intelligence
    #[arg(long, value_name = "PRODUCT")]
    surface: Option<Dialect>,
}

pub(super) fn run(arguments: &Args) -> Result<(), Failure> {
    let document = arguments.surface.map_or_else(openapi::document, Dialect::document);
    Ok(output::json(&document)?)
}
