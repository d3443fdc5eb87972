//! The token that a request presents: `Authorization: Bearer`, `Token` or `rime-api-key`.

use domain::problem::ProblemCode;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

use crate::problem::ApiError;

/// Headers whose whole value is the token.
const PLAIN: [HeaderName; 2] =
    [HeaderName::from_static("token"), HeaderName::from_static("rime-api-key")];

/// The reason why no single token can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CredentialError {
    /// `Bearer` is not followed by exactly one token.
    #[error("The Authorization header must have the form \"Bearer TOKEN\".")]
    Bearer,
    /// The value is not exactly one token.
    #[error("The Token or rime-api-key header must contain one token and nothing else.")]
    Plain,
    /// The request holds two different tokens.
    #[error("The request contains two different tokens. Send only one.")]
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

/// Returns the token that the request presents, or `None`. Ignores credentials of other schemes
/// (`Basic`, …). The authority decides whether the text is a token.
pub(crate) fn presented(headers: &HeaderMap) -> Result<Option<&str>, CredentialError> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer);
    let plain = PLAIN
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .map(|value| one_word(value).ok_or(CredentialError::Plain));
    single(bearer.chain(plain))
}

/// Whether a header of this name, other than `Authorization`, holds a token.
pub(crate) fn is_credential(name: &HeaderName) -> bool {
    PLAIN.contains(name)
}

/// The credential of a request to a route that also accepts people's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// A token.
    Token(&'a str),
    /// A `Bearer` value in the form of a session's secret.
    Session(&'a str),
}

/// Returns the credential of a request whose `Bearer` value may be a session instead of a token. A
/// session beside a token is ignored, and so are headers without a value.
pub(crate) fn presented_or_session(
    headers: &HeaderMap,
    is_session: fn(&str) -> bool,
) -> Result<Option<Credential<'_>>, CredentialError> {
    let (sessions, bearers): (Vec<_>, Vec<_>) = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .filter_map(bearer)
        .partition(|bearer| bearer.is_ok_and(is_session));
    let plain = PLAIN
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter(|value| !value.as_bytes().trim_ascii().is_empty())
        .map(|value| one_word(value).ok_or(CredentialError::Plain));
    match single(bearers.into_iter().chain(plain))? {
        Some(token) => Ok(Some(Credential::Token(token))),
        None => Ok(single(sessions)?.map(Credential::Session)),
    }
}

/// Returns the value that all of these share; `None` if there are no values.
fn single<'a>(
    values: impl IntoIterator<Item = Result<&'a str, CredentialError>>,
) -> Result<Option<&'a str>, CredentialError> {
    let mut found: Option<&str> = None;
    for value in values {
        let value = value?;
        match found {
            Some(other) if other != value => return Err(CredentialError::Multiple),
            _ => found = Some(value),
        }
    }
    Ok(found)
}

/// Returns the token of a `Bearer` value. The scheme is case-insensitive (RFC 9110 section 11.1).
pub(crate) fn bearer(value: &HeaderValue) -> Option<Result<&str, CredentialError>> {
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
    fn session_is_ignored_beside_a_token() {
        fn is_session(text: &str) -> bool {
            text.starts_with("session")
        }
        let read = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            presented_or_session(&headers, is_session).map(|credential| match credential {
                Some(Credential::Token(token)) => format!("token {token}"),
                Some(Credential::Session(session)) => session.to_owned(),
                None => String::new(),
            })
        };
        let session = ("authorization", "Bearer session-1");
        let other = ("authorization", "Bearer session-2");
        assert_eq!(read(&[session]), Ok("session-1".into()));
        assert_eq!(read(&[session, session, ("token", "")]), Ok("session-1".into()));
        assert_eq!(read(&[session, ("token", "a")]), Ok("token a".into()));
        assert_eq!(read(&[session, other, ("token", "a")]), Ok("token a".into()));
        assert_eq!(read(&[session, ("authorization", "Bearer a")]), Ok("token a".into()));
        // In a header for tokens it is a token.
        assert_eq!(read(&[("token", "session-1")]), Ok("token session-1".into()));
        assert_eq!(read(&[("token", " ")]), Ok(String::new()));
        assert_eq!(read(&[session, other]), Err(CredentialError::Multiple));
        assert_eq!(
            read(&[("authorization", "Bearer b"), ("token", "a")]),
            Err(CredentialError::Multiple)
        );
    }

    #[test]
    fn other_schemes_are_not_credentials() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("authorization", "Basic YTpi")]), Ok(None));
        assert_eq!(read(&[("authorization", "Bearerabc")]), Ok(None));
        assert_eq!(
            read(&[("authorization", "Basic YTpi"), ("token", "abc")]),
            Ok(Some("abc".into()))
        );
    }

    #[test]
    fn repeated_token_is_accepted_but_two_tokens_are_refused() {
        let same = [("authorization", "Bearer a"), ("token", "a"), ("rime-api-key", "a")];
        assert_eq!(read(&same), Ok(Some("a".into())));
        for other in [("token", "b"), ("rime-api-key", "b"), ("authorization", "Bearer b")] {
            let pairs = [("authorization", "Bearer a"), other];
            assert_eq!(read(&pairs), Err(CredentialError::Multiple), "{other:?}");
        }
    }

    #[test]
    fn header_without_exactly_one_token_is_an_error() {
        for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer é"] {
            assert_eq!(read(&[("authorization", value)]), Err(CredentialError::Bearer), "{value}");
        }
        for value in ["", "a b", "Bearer a"] {
            assert_eq!(read(&[("token", value)]), Err(CredentialError::Plain), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_never_panic_and_tokens_are_single_words(
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
