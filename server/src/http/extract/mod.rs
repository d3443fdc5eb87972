//! Extractors whose refusals are problems that name the field at fault.

mod json;
mod path;
mod query;
mod wording;

pub(crate) use json::ApiJson;
pub(crate) use path::ApiPath;
pub(crate) use query::ApiQuery;
