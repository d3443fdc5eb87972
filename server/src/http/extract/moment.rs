//! Timestamps in the query.

use domain::{moments, problem::FieldError};
use time::OffsetDateTime;

/// Returns the timestamp that a parameter holds. Adds an error to `errors` if it is invalid.
pub(crate) fn moment(
    field: &str,
    text: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Option<OffsetDateTime> {
    moments::parse(text?).map_err(|error| errors.push(FieldError::new(field, error))).ok()
}
