//! Changes that shall only happen to what the caller saw: `If-Match` (RFC 9110 section 13.1.1).

use axum::extract::FromRequestParts;
use domain::problem::ProblemCode;
use http::{HeaderMap, header, request::Parts};

use crate::http::problem::ApiError;

/// A version that nothing has.
const NEVER: i64 = -1;

/// The version that a change expects: that of `If-Match`, any without it.
///
/// Refusals: 400 for what is no entity tag, and for a list of several, since a record has one
/// version. A tag that Tessera did not make is one that does not match.
pub(crate) struct IfMatch(pub(crate) Option<i64>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        expected(&parts.headers).map(Self).map_err(|_| {
            ApiError::new(
                ProblemCode::MalformedRequest,
                "The header If-Match must be the ETag of the record as you read it, such as \"3\".",
            )
        })
    }
}

/// `If-Match` is no single entity tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unreadable;

/// The version of `If-Match`.
fn expected(headers: &HeaderMap) -> Result<Option<i64>, Unreadable> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or(Unreadable)?.trim();
    if text == "*" {
        return Ok(None);
    }
    let (weak, tag) = text.strip_prefix("W/").map_or((false, text), |tag| (true, tag));
    let tag = tag
        .strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .filter(|tag| !tag.contains('"'))
        .ok_or(Unreadable)?;
    // Weak tags never match here (RFC 9110 section 13.1.1), and versions have one spelling.
    let version = tag.parse().ok().filter(|version: &i64| !weak && version.to_string() == tag);
    Ok(Some(version.unwrap_or(NEVER)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Result<Option<i64>, Unreadable> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        expected(&headers)
    }

    #[test]
    fn if_match_names_a_version_or_any_or_none_that_is() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"17\""]), Ok(Some(17)));
        for other in ["W/\"17\"", "\"x\"", "\"\"", "\"+17\"", "\"017\"", "\"99999999999999999999\""]
        {
            assert_eq!(read(&[other]), Ok(Some(NEVER)), "{other}");
        }
        for bad in ["17", "\"17", "\"1\", \"2\"", "", "w/\"1\""] {
            assert_eq!(read(&[bad]), Err(Unreadable), "{bad}");
        }
        assert_eq!(read(&["\"1\"", "\"1\""]), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn any_header_never_panics_and_never_means_any(text in "[ -~]{0,40}") {
            prop_assume!(text.trim() != "*");
            if let Ok(value) = HeaderValue::from_str(&text) {
                let mut headers = HeaderMap::new();
                headers.insert(header::IF_MATCH, value);
                prop_assert_ne!(expected(&headers), Ok(None));
            }
        }
    }
}
