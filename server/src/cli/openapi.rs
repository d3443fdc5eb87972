//! `tessera openapi`: the document that the server gives at `/api/openapi.json`.

use super::{Failure, output};
use crate::http::openapi;

pub(super) fn run() -> Result<(), Failure> {
    Ok(output::json(&openapi::document())?)
}
