//! The token that a request presents: `Authorization: Bearer`, `Token` or `rime-api-key`.

use domain::problem::ProblemCode;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

use super::problem::ApiError;

/// Headers whose whole value is the token.
const PLAIN: [HeaderName; 2] =
    [HeaderName::from_static("token"), HeaderName::from_static("rime-api-key")];

/// Why no single token can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CredentialError {
    /// `Bearer` is not followed by one token.
    #[error("The header Authorization must be of the form \"Bearer TOKEN\".")]
    Bearer,
    /// The value is not one token.
    #[error("The header Token or rime-api-key must hold one token and nothing else.")]
    Plain,
    /// Two tokens that differ.
    #[error("The request holds two different tokens. Send one of them.")]
    Multiple,
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Multiple => {
                Self::new(ProblemCode::MultipleCredentials, error.to_string())
            }
            other => Self::unreadable_credential(&other.to_string()),
        }
    }
}

/// The one token that the request presents; `None` when it presents none. Credentials of other
/// schemes (`Basic`, …) are somebody else's. Whether the text is a token is for the authority to
/// say.
pub(crate) fn presented(headers: &HeaderMap) -> Result<Option<&str>, CredentialError> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer);
    let plain = PLAIN
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .map(|value| one_word(value).ok_or(CredentialError::Plain));
    let mut found: Option<&str> = None;
    for token in bearer.chain(plain) {
        let token = token?;
        match found {
            Some(other) if other != token => return Err(CredentialError::Multiple),
            _ => found = Some(token),
        }
    }
    Ok(found)
}

/// The token of a `Bearer` value; the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(value: &HeaderValue) -> Option<Result<&str, CredentialError>> {
    let bytes = value.as_bytes();
    let end = bytes.iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len());
    if !bytes[..end].eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    let token = value.to_str().ok().and_then(|text| text.get(end..)).and_then(word);
    Some(token.ok_or(CredentialError::Bearer))
}

fn one_word(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().and_then(word)
}

fn word(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && !text.contains(|c: char| c.is_ascii_whitespace() || c == ','))
        .then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Option<String>, CredentialError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        presented(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn token_is_read_from_each_header() {
        for pair in [
            ("authorization", "Bearer abc"),
            ("authorization", "bEaReR   abc "),
            ("token", "abc"),
            ("rime-api-key", " abc"),
        ] {
            assert_eq!(read(&[pair]), Ok(Some("abc".into())), "{pair:?}");
        }
    }

    #[test]
    fn other_schemes_are_no_credential() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("authorization", "Basic YTpi")]), Ok(None));
        assert_eq!(read(&[("authorization", "Bearerabc")]), Ok(None));
        assert_eq!(
            read(&[("authorization", "Basic YTpi"), ("token", "abc")]),
            Ok(Some("abc".into()))
        );
    }

    #[test]
    fn same_token_twice_is_one_and_two_are_refused() {
        let same = [("authorization", "Bearer a"), ("token", "a"), ("rime-api-key", "a")];
        assert_eq!(read(&same), Ok(Some("a".into())));
        for other in [("token", "b"), ("rime-api-key", "b"), ("authorization", "Bearer b")] {
            let pairs = [("authorization", "Bearer a"), other];
            assert_eq!(read(&pairs), Err(CredentialError::Multiple), "{other:?}");
        }
    }

    #[test]
    fn header_that_is_no_single_token_is_an_error() {
        for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer é"] {
            assert_eq!(read(&[("authorization", value)]), Err(CredentialError::Bearer), "{value}");
        }
        for value in ["", "a b", "Bearer a"] {
            assert_eq!(read(&[("token", value)]), Err(CredentialError::Plain), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_never_panic_and_a_token_is_one_word(
            values in proptest::collection::vec(
                (0usize..3, proptest::collection::vec(any::<u8>(), 0..60)), 0..4),
        ) {
            let names = ["authorization", "token", "rime-api-key"];
            let mut headers = HeaderMap::new();
            for (name, bytes) in values {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.append(names[name], value);
                }
            }
            if let Ok(Some(token)) = presented(&headers) {
                prop_assert!(!token.is_empty() && token.is_ascii());
                prop_assert!(!token.contains([' ', '\t', ',']));
            }
        }
    }
}
