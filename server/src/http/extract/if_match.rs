//! Conditional changes: `If-Match` (RFC 9110 section 13.1.1).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use utoipa::IntoParams;

/// A version that no record has.
const NEVER: i64 = -1;

/// The version that a change expects, from `If-Match`. Any version matches if the header is absent
/// or `*`.
///
/// A header that is not a single tag in Tessera's own spelling matches no version, so the change
/// fails with 412 for callers who may make it.
pub(crate) struct IfMatch(pub(crate) Option<i64>);

/// [`IfMatch`] in the description of an operation.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documents the header, which IfMatch parses")]
pub(crate) struct IfMatchHeader {
    /// The `ETag` of the record as it was read. A record that has changed since is left
    /// unchanged (412)
    #[param(rename = "If-Match", nullable = false, example = "\"3\"")]
    if_match: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(expected(&parts.headers)))
    }
}

/// Returns the version that `If-Match` names.
fn expected(headers: &HeaderMap) -> Option<i64> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let value = values.next()?;
    let text = value.to_str().map_or("", str::trim);
    if text == "*" && values.next().is_none() {
        return None;
    }
    // Weak tags never match here (RFC 9110 section 13.1.1), and versions have only one spelling.
    let tag = text.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or_default();
    let version = tag.parse().ok().filter(|version: &i64| version.to_string() == tag);
    Some(version.filter(|_| values.next().is_none()).unwrap_or(NEVER))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Option<i64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        expected(&headers)
    }

    #[test]
    fn invalid_if_match_matches_no_version() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["*"]), None);
        assert_eq!(read(&["\"17\""]), Some(17));
        for other in [
            "W/\"17\"",
            "\"x\"",
            "\"\"",
            "\"+17\"",
            "\"017\"",
            "\"99999999999999999999\"",
            "17",
            "\"17",
            "\"1\", \"2\"",
            "",
            "w/\"1\"",
        ] {
            assert_eq!(read(&[other]), Some(NEVER), "{other}");
        }
        assert_eq!(read(&["\"1\"", "\"1\""]), Some(NEVER));
        assert_eq!(read(&["*", "*"]), Some(NEVER));
    }

    proptest! {
        #[test]
        fn any_header_never_panics_or_matches_every_version(text in "[ -~]{0,40}") {
            prop_assume!(text.trim() != "*");
            if let Ok(value) = HeaderValue::from_str(&text) {
                let mut headers = HeaderMap::new();
                headers.insert(header::IF_MATCH, value);
                prop_assert!(expected(&headers).is_some());
            }
        }
    }
}
