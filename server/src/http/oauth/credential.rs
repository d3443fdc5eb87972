//! The caller's credential: a token in any of the usual places, or as the password of HTTP
//! Basic (RFC 7617).

use authority::OpContext;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::problem::ProblemCode;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    http::caller::authenticate, problem::ApiError, request::credentials::presented, state::AppState,
};

/// Returns the token that authenticates the caller, or `None`. A user name without a password,
/// which clients without a secret send, does not count as a credential.
pub(super) fn credential(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let token = presented(headers).map_err(ApiError::from)?;
    let mut found = token.map(str::to_owned);
    for password in headers.get_all(header::AUTHORIZATION).iter().filter_map(basic) {
        let password = password?;
        match &found {
            _ if password.is_empty() => {}
            Some(other) if *other != password => {
                let detail = "The request contains two different tokens. Send only one.";
                return Err(ApiError::new(ProblemCode::MultipleCredentials, detail));
            }
            _ => found = Some(password),
        }
    }
    Ok(found)
}

/// Returns the password of a `Basic` value. The text before the first colon is the user name.
fn basic(value: &HeaderValue) -> Option<Result<String, ApiError>> {
    let bytes = value.as_bytes();
    let end = bytes.iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len());
    if !bytes[..end].eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = STANDARD.decode(bytes[end..].trim_ascii()).ok();
    let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
    let password = pair.and_then(|pair| Some(pair.split_once(':')?.1.to_owned()));
    Some(password.ok_or_else(|| {
        ApiError::new(
            ProblemCode::InvalidToken,
            "The Authorization header must be \"Basic\" with a name and a token, or \"Bearer\" \
             with a token.",
        )
    }))
}

/// Returns the context with the bearer of this token as its actor.
pub(super) async fn caller(
    state: &AppState,
    mut context: OpContext,
    token: &str,
) -> Result<OpContext, ApiError> {
    context.actor = authenticate(state, &context, token).await?;
    Ok(context)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, u16> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers
                .append(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        credential(&headers).map_err(|error| error.problem().status)
    }

    fn pair(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn basic_password_is_the_token_for_any_user_name() {
        for text in ["gateway:abc", ":abc", "é:abc"] {
            assert_eq!(read(&[&pair(text)]), Ok(Some("abc".into())), "{text}");
        }
        assert_eq!(read(&[&pair("a:b:c")]), Ok(Some("b:c".into())));
        assert_eq!(read(&[&pair("a:b").replace("Basic", "bAsIc")]), Ok(Some("b".into())));
        assert_eq!(read(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(read(&["Bearer abc", &pair("x:abc")]), Ok(Some("abc".into())));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[&pair("public-client:")]), Ok(None));
        assert_eq!(read(&["Digest x"]), Ok(None));
    }

    #[test]
    fn invalid_pairs_and_multiple_tokens_are_refused() {
        for value in ["Basic", "Basic !", &pair("abc"), "Basic /w==", "Basic OmE= OmE="] {
            assert_eq!(read(&[value]), Err(401), "{value}");
        }
        assert_eq!(read(&["Bearer"]), Err(400));
        assert_eq!(read(&["Bearer abc", &pair("x:def")]), Err(400));
        assert_eq!(read(&[&pair("x:abc"), &pair("x:def")]), Err(400));
    }

    proptest! {
        #[test]
        fn any_header_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut value = b"Basic ".to_vec();
            value.extend(bytes);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert(header::AUTHORIZATION, value);
                let _ = credential(&headers);
            }
        }
    }
}
