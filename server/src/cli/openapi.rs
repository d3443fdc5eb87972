//! `tessera openapi`: the document that the server gives at `/api/openapi.json`.

use super::{Failure, Output};
use crate::http::openapi;

pub(super) fn run() -> Result<(), Failure> {
    Ok(Output.json(&openapi::document())?)
}
