//! A moment in the query.

use domain::{moments, problem::FieldError};
use time::OffsetDateTime;

/// The moment that a parameter holds; what is wrong with it goes to `errors`.
pub(crate) fn moment(
    field: &str,
    text: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Option<OffsetDateTime> {
    moments::parse(text?).map_err(|error| errors.push(FieldError::new(field, error))).ok()
}
