//! Parses values that callers send, for new and changed tokens alike. Each parser records a mistake
//! under the name of its field and continues.

use std::collections::BTreeSet;

use domain::{moments, problem::FieldError, rate_limit::RateLimitError};
use ipnet::IpNet;
use time::OffsetDateTime;

/// The maximum number of address ranges of a token.
const RANGES_MAX: usize = 32;

/// Parses the start of a token, which must be before `expires_at`.
pub(super) fn not_before(
    text: Option<&str>,
    expires_at: Option<OffsetDateTime>,
    errors: &mut Vec<FieldError>,
) -> Option<OffsetDateTime> {
    let Some(moment) = moments::read(text?) else {
        let message = "must be a time such as 2027-08-18T12:00:00Z";
        errors.push(FieldError::new("not_before", message));
        return None;
    };
    if expires_at.is_some_and(|end| moment >= end) {
        errors.push(FieldError::new("not_before", "must be before the token expires"));
    }
    Some(moment)
}

/// Parses addresses and networks. Returns each of them once, in canonical form.
pub(super) fn ip_allow(texts: &[String], errors: &mut Vec<FieldError>) -> Vec<IpNet> {
    if texts.len() > RANGES_MAX {
        let message = format!("must have at most {RANGES_MAX} ranges");
        errors.push(FieldError::new("ip_allow", message));
        return Vec::new();
    }
    let mut ranges = BTreeSet::new();
    for text in texts {
        let text = text.trim();
        let range =
            text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        match range {
            Ok(range) => {
                ranges.insert(range.trunc());
            }
            Err(_) => errors.push(FieldError::new(
                "ip_allow",
                format!(
                    "has {}, which is not an address or a range such as 10.0.0.0/8",
                    quoted(text)
                ),
            )),
        }
    }
    ranges.into_iter().collect()
}

/// Returns the limit that the surface parsed, or records the mistake under the part that is wrong.
pub(super) fn rate_limit<T>(
    outcome: Result<T, RateLimitError>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    outcome.map_err(|error| errors.push(FieldError::new(error.field(), error))).ok()
}

/// Returns the value, or records the mistake in it.
pub(super) fn keep<T, E: std::fmt::Display>(
    outcome: Result<T, E>,
    field: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    outcome.map_err(|error| errors.push(FieldError::new(field, error))).ok()
}

/// Quotes a caller's text in a message: shortened, and without terminal control characters.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().count() > 64 {
        shown.push('…');
    }
    format!("\"{shown}\"")
}
