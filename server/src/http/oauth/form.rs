//! A form that contains a token (RFC 7662 section 2.1, RFC 7009 section 2.1).

use axum::extract::{FromRequest, Request};
use domain::problem::ProblemCode;
use http::{HeaderMap, header};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    http::body::{self, Readers},
    problem::ApiError,
};

/// The token that a request is about.
#[derive(ToSchema)]
#[schema(as = PresentedToken, example = json!({"token": "tsr_…"}))]
#[expect(dead_code, reason = "documents the form, which is parsed pair by pair")]
pub(super) struct FormBody {
    /// The token as it was presented.
    #[schema(min_length = 1)]
    token: String,
    /// The kind of token. Ignored, because there is only one kind.
    #[schema(nullable = false)]
    token_type_hint: Option<String>,
}

/// The text of the token that a form names.
///
/// Follows RFC 6749 section 3.2: parameters without a value count as absent, unknown ones are
/// ignored, and none may be repeated. Repetition of unknown parameters is not checked, because some
/// of them, like `resource` (RFC 8707), may be repeated.
pub(super) struct TokenForm(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for TokenForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        if !is_form(request.headers()) {
            return Err(ApiError::new(
                ProblemCode::UnsupportedMediaType,
                "The body must be a form, sent with the header \"Content-Type: application/x-www-form-urlencoded\".",
            ));
        }
        // Revocation needs no credential other than the token in the form.
        let bytes = body::read(request, Readers::Anybody).await?;
        read(&bytes).map(Self)
    }
}

fn read(bytes: &[u8]) -> Result<String, ApiError> {
    let refuse = |detail: &str| ApiError::new(ProblemCode::MalformedRequest, detail);
    let (mut token, mut hint) = (None, None);
    for (name, value) in form_urlencoded::parse(bytes) {
        let known = match name.as_ref() {
            "token" => &mut token,
            "token_type_hint" => &mut hint,
            _ => continue,
        };
        if known.replace(value).is_some() {
            return Err(refuse(&format!("The parameter {name} is given twice.")));
        }
    }
    let token = token.filter(|token| !token.is_empty());
    token.map(Into::into).ok_or_else(|| refuse("The parameter token is missing."))
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn token_is_read_and_other_parameters_are_ignored() {
        for body in [
            "token=abc",
            "token_type_hint=access_token&token=abc",
            "token=abc&token_type_hint=&resource=x&x",
            "token=%61bc",
            "&token=abc&&",
            "resource=a&token=abc&resource=b",
        ] {
            assert_eq!(read(body.as_bytes()).unwrap(), "abc", "{body}");
        }
        assert_eq!(read(b"token=a+b%00%C3%A9").unwrap(), "a b\0é");
    }

    #[test]
    fn missing_token_and_repeated_parameters_are_refused() {
        for body in [
            "",
            "token",
            "token=",
            "Token=abc",
            "token=a&token=a",
            "token=a&token=",
            "token=&token=a",
            "token=a&token_type_hint=x&token_type_hint=x",
        ] {
            assert_eq!(read(body.as_bytes()).unwrap_err().problem().status, 400, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
