//! Extractors that reject requests with problems that name the invalid field.

mod if_match;
mod json;
mod moment;
mod object;
mod path;
mod query;
mod wording;

pub(crate) use if_match::{IfMatch, IfMatchHeader};
pub(crate) use json::{ApiJson, parse as parse_json};
pub(crate) use moment::moment;
pub(crate) use object::Object;
pub(crate) use path::ApiPath;
pub(crate) use query::ApiQuery;
