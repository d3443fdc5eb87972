//! Translates serde's messages for the caller, always without the value, which may be a secret.

use domain::problem::FieldError;

/// Returns the invalid field and what is wrong with it, from serde's message and the path to
/// the value.
pub(super) fn field_error(path: &str, message: &str) -> FieldError {
    let message = without_position(message);
    let path = if matches!(path, "" | "." | "?") { "" } else { path };
    if let Some(field) = quoted(message, "missing field ") {
        return FieldError::new(join(path, field), "is missing");
    }
    if let Some(field) = quoted(message, "duplicate field ") {
        return FieldError::new(join(path, field), "is given twice");
    }
    if let Some(field) = quoted(message, "unknown field ") {
        let known = message.rsplit_once("expected ").map(|(_, known)| known).unwrap_or_default();
        let known = known.trim_start_matches("one of ").replace('`', "");
        return FieldError::new(
            join(path, &shortened(field)),
            format!("is not a known field; known fields are {known}"),
        );
    }
    let field = if path.is_empty() { "body" } else { path };
    if message.starts_with("unknown variant ")
        && let Some((_, known)) = message.rsplit_once("expected ")
    {
        let known = known.trim_start_matches("one of ").replace('`', "");
        return FieldError::new(field, format!("must be one of {known}"));
    }
    let described = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|beginning| message.strip_prefix(beginning))
        .and_then(|rest| rest.rsplit_once(", expected "));
    match described {
        Some(_) if message.starts_with("invalid length") => {
            FieldError::new(field, "must be an object, not an array")
        }
        Some((found, expected)) if is_number(expected) && found.starts_with("integer") => {
            FieldError::new(field, "must be a whole number in the allowed range")
        }
        Some((found, expected)) => FieldError::new(
            field,
            format!("must be {}, not {}", expected_kind(expected), found_kind(found)),
        ),
        // The message of a parsed type, which begins with "must".
        None if message.starts_with("must ") => FieldError::new(field, message),
        None => FieldError::new(field, "is invalid"),
    }
}

fn without_position(message: &str) -> &str {
    match message.rsplit_once(" at line ") {
        Some((text, position)) if position.starts_with(|c: char| c.is_ascii_digit()) => text,
        _ => message,
    }
}

fn quoted<'a>(message: &'a str, beginning: &str) -> Option<&'a str> {
    let rest = message.strip_prefix(beginning)?.strip_prefix('`')?;
    Some(rest.split_once('`').map_or(rest, |(field, _)| field))
}

/// Joins the path and the field. serde reports some errors at the structure and some at the
/// field itself.
fn join(path: &str, field: &str) -> String {
    match path.rsplit_once('.') {
        _ if path.is_empty() || path == field => field.to_owned(),
        Some((_, last)) if last == field => path.to_owned(),
        _ => format!("{path}.{field}"),
    }
}

/// Shortens a field's name to a few characters: it may be anything, even a pasted secret.
fn shortened(field: &str) -> String {
    match field.char_indices().nth(24) {
        Some((end, _)) => format!("{}…", &field[..end]),
        None => field.to_owned(),
    }
}

/// Returns the kind of a value from serde's words for it, without the value itself.
fn found_kind(found: &str) -> &'static str {
    match found.split([' ', '`']).next().unwrap_or_default() {
        "string" => "a string",
        "integer" => "an integer",
        "floating" => "a number with a fraction",
        "boolean" => "a boolean",
        "null" => "null",
        "map" => "an object",
        "sequence" => "an array",
        _ => "this",
    }
}

fn expected_kind(expected: &str) -> &str {
    if expected.starts_with("struct ") || expected == "a map" {
        "an object"
    } else if expected == "a sequence" {
        "an array"
    } else if is_number(expected) {
        "a whole number"
    } else {
        expected
    }
}

fn is_number(expected: &str) -> bool {
    matches!(expected, "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64")
}
