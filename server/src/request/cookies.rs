//! The session cookie and the cookie of a known browser: names, attributes, and parsing.

use authority::{
    COOKIE_SEPARATOR, ChangedPassword, KNOWN_FOR,
    secret::{KnownBrowser, SessionSecret},
};
use http::{HeaderMap, HeaderValue, header};
use time::{Duration, OffsetDateTime};
use url::Url;

/// The name and the protection of the session cookie.
///
/// Over https the cookie is `__Host-tessera` (RFC 6265bis section 4.1.3.2: bound to this host,
/// `Secure`, `Path=/`). Over plain http on a private machine, where browsers refuse that prefix, it
/// is `tessera`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionCookies {
    secure: bool,
}

impl SessionCookies {
    /// Returns the cookies that browsers of this public address accept.
    pub(crate) fn for_public_url(url: &Url) -> Self {
        Self { secure: url.scheme() == "https" }
    }

    /// Whether people reach the server over https.
    pub(crate) const fn is_secure(self) -> bool {
        self.secure
    }

    pub(crate) const fn name(self) -> &'static str {
        if self.secure { "__Host-tessera" } else { "tessera" }
    }

    /// Returns the session's secret that the request carries, or `None` if it carries two different
    /// ones: one of them was planted, and the server cannot tell which.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<SessionSecret> {
        let mut values = values(headers, self.name());
        let first = values.next()?;
        values.all(|other| other == first).then(|| SessionSecret::new(first.to_owned()))
    }

    /// Whether the request carries a session cookie, valid or not.
    pub(crate) fn is_present(self, headers: &HeaderMap) -> bool {
        values(headers, self.name()).next().is_some()
    }

    /// Returns the proof that this browser has signed in before.
    pub(crate) fn known_browser(self, headers: &HeaderMap) -> Option<KnownBrowser> {
        // A wrong cookie planted beside the right one does no harm: each cookie has room of
        // its own.
        let all: Vec<&str> = values(headers, self.known_name()).collect();
        (!all.is_empty()).then(|| KnownBrowser::new(all.join(COOKIE_SEPARATOR)))
    }

    /// Returns the `Set-Cookie` value that stores a proof that this browser has signed in.
    pub(crate) fn keep_known_browser(self, proof: &KnownBrowser) -> Option<HeaderValue> {
        let (name, seconds) = (self.known_name(), KNOWN_FOR.whole_seconds());
        sensitive(&self.cookie(name, proof.expose(), seconds))
    }

    const fn known_name(self) -> &'static str {
        if self.secure { "__Host-tessera-known" } else { "tessera-known" }
    }

    /// Returns the `Set-Cookie` value that begins a session. `None` for a secret that is not a
    /// valid cookie value, which the authority never creates.
    pub(crate) fn set(self, secret: &SessionSecret, lifetime: Duration) -> Option<HeaderValue> {
        let seconds = lifetime.whole_seconds().max(0);
        sensitive(&self.cookie(self.name(), secret.expose(), seconds))
    }

    /// Returns the `Set-Cookie` values after a change of the password: the session continues with
    /// another secret.
    pub(crate) fn after_change(
        self,
        changed: &ChangedPassword,
        now: OffsetDateTime,
    ) -> Vec<HeaderValue> {
        let session = changed.session.as_ref();
        let session = session.and_then(|(secret, end)| self.set(secret, *end - now));
        session.into_iter().chain(self.keep_known_browser(&changed.known_browser)).collect()
    }

    /// Returns the `Set-Cookie` value that ends a session.
    pub(crate) fn clear(self) -> HeaderValue {
        HeaderValue::from_static(if self.secure {
            "__Host-tessera=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"
        } else {
            "tessera=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        })
    }

    fn cookie(self, name: &str, value: &str, seconds: i64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns the values of the cookies of this name.
fn values<'a>(headers: &'a HeaderMap, wanted: &'static str) -> impl Iterator<Item = &'a str> {
    pairs(headers)
        .filter(move |(name, value)| *name == wanted && !value.is_empty())
        .map(|(_, value)| value)
}

/// Returns the names and values of all ASCII cookies. Each is parsed by itself: a sibling host may
/// plant a cookie with other bytes, and browsers send it in the same line.
pub(crate) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter(|pair| pair.is_ascii())
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cookies(url: &str) -> SessionCookies {
        SessionCookies::for_public_url(&url.parse().unwrap())
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn cookie_over_https_is_bound_to_its_host() {
        let secret = SessionSecret::new("abc".into());
        let value = cookies("https://t.example").set(&secret, Duration::hours(1)).unwrap();
        assert_eq!(
            value.to_str().unwrap(),
            "__Host-tessera=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure"
        );
        assert!(value.is_sensitive());
    }

    #[test]
    fn known_browser_cookie_has_the_attributes_of_the_session_cookie() {
        let proof = KnownBrowser::new("abc".into());
        let value = cookies("https://t.example").keep_known_browser(&proof).unwrap();
        assert_eq!(
            value.to_str().unwrap(),
            "__Host-tessera-known=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000; Secure"
        );
        assert!(value.is_sensitive());
        let plain = cookies("http://127.0.0.1:3000");
        let headers = headers(&["tessera-known=planted", "tessera-known=abc; tessera=x"]);
        assert_eq!(plain.known_browser(&headers).unwrap().expose(), "planted abc");
        assert!(plain.known_browser(&HeaderMap::new()).is_none());
    }

    #[test]
    fn cookie_over_http_has_the_plain_name() {
        let cookies = cookies("http://127.0.0.1:3000");
        assert_eq!(cookies.name(), "tessera");
        let headers = headers(&["theme=dark; tessera=abc", "other=1"]);
        assert_eq!(cookies.read(&headers).unwrap().expose(), "abc");
    }

    #[test]
    fn duplicate_cookies_count_only_if_they_are_equal() {
        let cookies = cookies("http://127.0.0.1:3000");
        assert!(cookies.read(&headers(&["tessera=a; tessera=a"])).is_some());
        let planted = headers(&["tessera=a", "tessera=b"]);
        assert!(cookies.read(&planted).is_none());
        assert!(cookies.is_present(&planted));
        assert!(cookies.read(&headers(&["tessera=", "xtessera=a"])).is_none());
    }

    #[test]
    fn cookie_beside_one_with_invalid_bytes_is_read() {
        let cookies = cookies("https://t.example");
        for planted in [&b"x=\xe9"[..], b"x=\xc3\xa9", b"\xff", b"__Host-tessera=\xff", b"=\x80="] {
            for line in [
                [planted, b"; __Host-tessera=abc; __Host-tessera-known=def"].concat(),
                [b"__Host-tessera=abc; __Host-tessera-known=def; ", planted].concat(),
            ] {
                let mut headers = HeaderMap::new();
                headers.append(header::COOKIE, HeaderValue::from_bytes(&line).unwrap());
                assert!(cookies.is_present(&headers));
                assert_eq!(cookies.read(&headers).unwrap().expose(), "abc", "{line:?}");
                assert_eq!(cookies.known_browser(&headers).unwrap().expose(), "def", "{line:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn reading_any_cookie_header_never_panics(line in proptest::collection::vec(0x20u8..=0xff, 0..200)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                headers.append(header::COOKIE, value);
            }
            let _ = cookies("https://t.example").read(&headers);
        }
    }
}
