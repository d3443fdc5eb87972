//! Changes that shall only happen to what the caller saw: `ETag` and `If-Match` (RFC 9110 section 13.1.1).

use authority::ServiceError;
use axum::extract::FromRequestParts;
use http::{HeaderName, header, request::Parts};

use crate::http::problem::ApiError;

/// The version that the caller saw; `None` when they do not care (no header, or `*`).
///
/// Refusal: 412 for a tag that no version has.
#[derive(Debug)]
pub(crate) struct IfMatch(pub(crate) Option<i64>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut values = parts.headers.get_all(header::IF_MATCH).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            // Several lines are a list, of which one version can be there at most.
            return if parts.headers.contains_key(header::IF_MATCH) {
                Err(ServiceError::PreconditionFailed.into())
            } else {
                Ok(Self(None))
            };
        };
        match value.to_str().map(str::trim) {
            Ok("*") => Ok(Self(None)),
            Ok(text) => parse(text).map(|version| Self(Some(version))),
            Err(_) => Err(ServiceError::PreconditionFailed.into()),
        }
    }
}

fn parse(text: &str) -> Result<i64, ApiError> {
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| ServiceError::PreconditionFailed.into())
}

/// The header that tells a version.
pub(crate) fn etag(version: i64) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{version}\""))]
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn read(values: &[&str]) -> Result<Option<i64>, u16> {
        let mut request = Request::get("/");
        for value in values {
            request = request.header("if-match", *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let read = IfMatch::from_request_parts(&mut parts, &()).await;
        read.map(|seen| seen.0).map_err(|error| error.problem().status)
    }

    #[tokio::test]
    async fn strong_tag_is_a_version_and_anything_else_matches_none() {
        assert_eq!(read(&[]).await, Ok(None));
        assert_eq!(read(&["*"]).await, Ok(None));
        assert_eq!(read(&["\"7\""]).await, Ok(Some(7)));
        assert_eq!(read(&[&etag(12)[0].1]).await, Ok(Some(12)));
        for bad in
            ["", "7", "\"\"", "\"-7\"", "W/\"7\"", "\"7\", \"8\"", "\"99999999999999999999\""]
        {
            assert_eq!(read(&[bad]).await, Err(412), "{bad}");
        }
        assert_eq!(read(&["\"1\"", "\"2\""]).await, Err(412));
    }
}
