//! JSON request bodies.

use axum::extract::{FromRequest, OptionalFromRequest, Request};
use domain::problem::{FieldError, ProblemCode};
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::wording;
use crate::{
    http::body::{self, Readers},
    problem::ApiError,
};

/// A JSON body of exactly this shape.
///
/// Rejects an unauthenticated caller with 401 before it reads anything, another content type with
/// 415, invalid JSON with 400, and JSON of another shape with 422. The size is limited earlier:
/// see `http::body`.
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        body::admitted(request.extensions())?;
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        let bytes = body::read(request, Readers::Known).await?;
        parse(&bytes).map(Self)
    }
}

/// An optional body: an empty one is `None`, whatever its content type.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Self::Rejection> {
        let is_json = is_json(request.headers());
        let bytes = body::read(request, Readers::Known).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json {
            return Err(not_json());
        }
        parse(&bytes).map(|value| Some(Self(value)))
    }
}

fn not_json() -> ApiError {
    ApiError::new(
        ProblemCode::UnsupportedMediaType,
        "The body must be JSON, sent with the header \"Content-Type: application/json\".",
    )
}

/// Parses a body, whatever its content type.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // serde would accept an array for a structure, with its items in the order of the fields.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let read: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(bytes);
        read.map_err(|error| refuse("", &error))?;
        let error = FieldError::new("body", "must be an object, not an array");
        return Err(ApiError::invalid(vec![error]));
    }
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, &error.into_inner())
    })?;
    reader.end().map_err(|error| refuse("", &error))?;
    Ok(value)
}

fn refuse(path: &str, error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        return ApiError::invalid(vec![wording::field_error(path, &error.to_string())]);
    }
    let (line, column) = (error.line(), error.column());
    let detail = if error.is_eof() {
        "The body is incomplete JSON.".to_owned()
    } else {
        format!("The body is not valid JSON: error at line {line}, column {column}.")
    };
    ApiError::new(ProblemCode::MalformedRequest, detail)
}

/// Whether the content type is `application/json` or `application/…+json`, with or without
/// parameters (RFC 6839 section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the fields matter")]
    struct Shape {
        name: String,
        #[serde(default)]
        scopes: Vec<String>,
        #[serde(default)]
        limit: Option<u16>,
    }

    fn refusal(text: &str) -> String {
        let error = parse::<Shape>(text.as_bytes()).err().unwrap();
        let problem = error.problem();
        let fields: Vec<_> = problem
            .errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect();
        format!("{} {} [{}]", problem.status, problem.code.as_str(), fields.join("; "))
    }

    #[test]
    fn refusal_names_the_field_and_the_error() {
        for (text, expected) in [
            ("{\"scopes\":[]}", "422 validation_failed [name: is missing]"),
            ("{\"name\":5}", "422 validation_failed [name: must be a string, not an integer]"),
            (
                "{\"name\":\"a\",\"scopes\":[\"a\",null]}",
                "422 validation_failed [scopes[1]: must be a string, not null]",
            ),
            (
                "{\"name\":\"a\",\"limit\":-1}",
                "422 validation_failed [limit: must be a whole number in the allowed range]",
            ),
            (
                "{\"name\":\"a\",\"nome\":1}",
                "422 validation_failed [nome: is not a known field; known fields are name, scopes, \
                 limit]",
            ),
            ("{\"name\":\"a\",\"name\":\"b\"}", "422 validation_failed [name: is given twice]"),
            ("[]", "422 validation_failed [body: must be an object, not an array]"),
            (" [\"a\"]", "422 validation_failed [body: must be an object, not an array]"),
            ("\"a\"", "422 validation_failed [body: must be an object, not a string]"),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
    }

    #[test]
    fn invalid_json_is_malformed() {
        for text in
            ["", "{", "{\"name\":\"a\"} x", "\u{feff}{}", "{\"name\":\"\\ud800\"}", "name=a"]
        {
            assert_eq!(refusal(text), "400 malformed_request []", "{text}");
        }
        let deep = "[".repeat(10_000);
        assert!(refusal(&format!("{{\"name\":{deep}")).starts_with('4'));
    }

    #[test]
    fn refusal_never_repeats_a_value() {
        let text = "{\"name\":\"a\",\"scopes\":\"tsr_secret, expected nothing\"}";
        let error = parse::<Shape>(text.as_bytes()).err().unwrap();
        assert!(!format!("{:?}", error.problem()).contains("tsr_secret"));
    }

    #[test]
    fn content_type_is_parsed_as_a_media_type() {
        let is = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(is("application/json"));
        assert!(is("Application/JSON; charset=utf-8"));
        assert!(is("application/merge-patch+json"));
        assert!(!is("text/plain"));
        assert!(!is("application/x-www-form-urlencoded"));
        assert!(!is_json(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Shape>(&bytes);
        }
    }
}
