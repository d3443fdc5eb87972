//! Versions in HTTP: `ETag` with an answer, `If-Match` with a change (RFC 9110 sections 8.8.3, 13.1.1).

use axum::{
    Json,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use serde::Serialize;

use crate::http::problem::ApiError;

/// A version that nothing has.
const NEVER: i64 = -1;

/// An answer with the audience's version as its `ETag`.
pub(super) struct Tagged<T> {
    pub(super) version: i64,
    pub(super) body: T,
}

/// The version that a change expects: that of `If-Match`, any without it.
///
/// Refusals: 400 for what is no entity tag, and for a list of several, since an audience has one
/// version. A tag that Tessera did not make is one that does not match.
pub(super) struct IfMatch(pub(super) Option<i64>);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", self.version)) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        expected(&parts.headers).map(Self).map_err(|Unreadable| {
            ApiError::new(
                ProblemCode::MalformedRequest,
                "The header If-Match must be the ETag of the audience as you read it, such as \"3\".",
            )
        })
    }
}

/// A header that is no entity tag, or several.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

/// The version of `If-Match`; any without it.
fn expected(headers: &HeaderMap) -> Result<Option<i64>, Unreadable> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unreadable);
    }
    let text = value.to_str().map_err(|_| Unreadable)?.trim();
    if text == "*" {
        return Ok(None);
    }
    let (weak, tag) = text.strip_prefix("W/").map_or((false, text), |tag| (true, tag));
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or(Unreadable)?;
    if tag.contains('"') {
        return Err(Unreadable);
    }
    // Weak tags never match here (RFC 9110 section 13.1.1), and versions have one spelling.
    let version = tag.parse().ok().filter(|version: &i64| !weak && version.to_string() == tag);
    Ok(Some(version.unwrap_or(NEVER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<i64>, Unreadable> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_str(text).unwrap());
        expected(&headers)
    }

    #[test]
    fn if_match_names_a_version_or_any_or_none_that_is() {
        assert_eq!(expected(&HeaderMap::new()), Ok(None));
        assert_eq!(read("*"), Ok(None));
        assert_eq!(read("\"17\""), Ok(Some(17)));
        for other in ["W/\"17\"", "\"x\"", "\"+17\"", "\"017\"", "\"99999999999999999999\""] {
            assert_eq!(read(other), Ok(Some(NEVER)), "{other}");
        }
        for bad in ["17", "\"17", "\"1\", \"2\"", ""] {
            assert_eq!(read(bad), Err(Unreadable), "{bad}");
        }
    }
}
