//! Unsafe requests that a browser was talked into by another site are refused.
//!
//! A browser adds cookies to whatever request a page makes it send. So every unsafe request that
//! rests on a cookie, or that goes to the console at all, must show that it comes from a page of
//! this server: by `Sec-Fetch-Site` (browsers set it; pages cannot) or, where a browser does not
//! send that (plain http), by `Origin`. Calls with a token in a header and without a cookie are
//! exempt: no other site can make a browser add that header without asking this server first
//! (CORS), which never agrees.
//!
//! Some routes take a credential from the body, without a cookie. Programs call them without any of these
//! headers. A request that has one comes from a browser, and must be to a name of this server and from a page of
//! this server ([`check_sender`]): otherwise a page of another site could guess credentials from its visitors'
//! addresses, and one whose own name was made to point here (DNS rebinding) could read the answers, too.
//!
//! A request to the console that has neither header comes from no browser of these years; it is refused too. A
//! program that posts to the console sends `Origin`, or better, uses the API with a token.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{HeaderMap, Method, header, request::Parts};
use url::Url;

use super::{AppState, problem::ApiError};

/// Where unsafe requests of browsers may come from.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    public: String,
    /// Whether people reach this server by https: then no page of it has another scheme.
    is_secure: bool,
}

impl Origins {
    /// The origin of the public address, besides whatever host the browser itself was sent to.
    pub(crate) fn of(public_url: &Url) -> Self {
        let is_secure = public_url.scheme() == "https";
        Self { public: public_url.origin().ascii_serialization(), is_secure }
    }

    /// Whether this request comes from a page of this server.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        match text("sec-fetch-site") {
            // `none`: the person's own doing, such as a reload of the answer to a form.
            Some(site) => matches!(site, "same-origin" | "none"),
            None => text(header::ORIGIN.as_str()).is_some_and(|origin| {
                origin == self.public || self.is_host(origin, text(header::HOST.as_str()))
            }),
        }
    }
}

impl Origins {
    /// Whether the origin is the host that the request was sent to. A stranger's page has another host. One that
    /// points its own host name here has the same: callers check the host, too ([`super::host::Hosts::check`]).
    fn is_host(&self, origin: &str, host: Option<&str>) -> bool {
        let plain = origin.strip_prefix("http://").filter(|_| !self.is_secure);
        let authority = plain.or_else(|| origin.strip_prefix("https://"));
        matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
    }
}

/// Refuses what a browser sends for a page of another site, or under a name that is not this server's. For
/// routes that take a credential from the body.
pub(crate) fn check_sender(state: &AppState, parts: &Parts) -> Result<(), ApiError> {
    let headers = &parts.headers;
    if !is_of_browser(headers) {
        return Ok(());
    }
    state.hosts.check(&parts.extensions, headers)?;
    if state.origins.allow(headers) { Ok(()) } else { Err(refusal()) }
}

/// Whether a browser sent this, as far as a request shows it. Browsers send `Origin` with every POST of a page.
/// `Sec-Fetch-Mode` alone shows nothing: Node's `fetch` sends it, too.
fn is_of_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

/// For the console: every request must be to a name of this server, and every unsafe one is checked.
pub(crate) async fn check_console(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(error) = state.hosts.check(request.extensions(), request.headers()) {
        error.into_response()
    } else if is_safe(request.method()) || state.origins.allow(request.headers()) {
        next.run(request).await
    } else {
        refuse()
    }
}

/// For the API: the same for requests that carry a session's cookie.
pub(crate) async fn check_api(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if !state.cookies.is_present(headers) {
        next.run(request).await
    } else if let Err(error) = state.hosts.check(request.extensions(), headers) {
        error.into_response()
    } else if is_safe(request.method()) || state.origins.allow(headers) {
        next.run(request).await
    } else {
        refuse()
    }
}

fn is_safe(method: &Method) -> bool {
    // Not Method::is_safe alone would do: TRACE is safe by RFC 9110 and served by nothing here.
    method.is_safe()
}

fn refuse() -> Response {
    refusal().into_response()
}

fn refusal() -> ApiError {
    ApiError::new(
        ProblemCode::CrossOrigin,
        "This request was sent by a page of another site, or does not say by which. Open Tessera's own page and try again there.",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(pairs: &[(&'static str, &str)]) -> bool {
        allowed_at("https://tessera.example", pairs)
    }

    fn allowed_at(public_url: &str, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        Origins::of(&public_url.parse().unwrap()).allow(&headers)
    }

    #[test]
    fn browser_says_where_a_request_comes_from() {
        assert!(allowed(&[("sec-fetch-site", "same-origin")]));
        assert!(allowed(&[("sec-fetch-site", "none")]));
        for site in ["cross-site", "same-site", "", "x"] {
            let headers = [("sec-fetch-site", site), ("origin", "https://tessera.example")];
            assert!(!allowed(&headers), "{site}");
        }
    }

    #[test]
    fn without_that_the_origin_decides() {
        assert!(allowed(&[("origin", "https://tessera.example")]));
        let plain = [("origin", "http://10.0.0.5:3000"), ("host", "10.0.0.5:3000")];
        assert!(allowed_at("http://127.0.0.1:3000", &plain));
        assert!(allowed(&[("origin", "https://10.0.0.5:3000"), ("host", "10.0.0.5:3000")]));
        // Somebody on the way to a server of https can make pages of http.
        assert!(!allowed(&plain));
        assert!(!allowed(&[("origin", "http://tessera.example"), ("host", "tessera.example")]));
        for origin in ["null", "https://evil.example", "https://tessera.example.evil.example", ""] {
            assert!(!allowed(&[("origin", origin), ("host", "tessera.example")]), "{origin}");
        }
        assert!(!allowed(&[]));
        assert!(!allowed(&[("host", "tessera.example")]));
    }

    #[test]
    fn browser_is_known_by_any_of_its_headers() {
        let sent = |name: &'static str| {
            is_of_browser(&HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static("x"),
            )]))
        };
        for name in ["origin", "sec-fetch-site"] {
            assert!(sent(name), "{name}");
        }
        // Node's fetch sends the second.
        for name in ["user-agent", "sec-fetch-mode"] {
            assert!(!sent(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_other_origin_is_allowed(origin in "[ -~]{0,60}") {
            prop_assume!(origin != "https://tessera.example");
            prop_assert!(!allowed(&[("origin", &origin)]));
        }
    }
}
