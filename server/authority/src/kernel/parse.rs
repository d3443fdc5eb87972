//! Parsing of single fields.

use domain::problem::FieldError;

/// Parses one field; adds mistakes to `errors`.
pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &str,
    text: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            errors.push(FieldError::new(field, error));
            None
        }
    }
}
