//! Refuses unsafe requests that another site made a browser send.
//!
//! A browser adds cookies to every request that a page makes it send. Therefore every unsafe
//! request that relies on a cookie, and every unsafe request to the console, must prove that it
//! comes from a page of this server: by `Sec-Fetch-Site` (set by browsers, not by pages) or, if a
//! browser does not send that (plain http), by `Origin`. Calls with a token in a header and without
//! a cookie are exempt: another site cannot make a browser add that header without permission from
//! this server (CORS), which never grants it.
//!
//! Some routes take a credential from the body, without a cookie. Programs call them without any of
//! these headers. A request that has one of them comes from a browser, and must be sent to a name
//! of this server by a page of this server ([`check_sender`]). Otherwise a page of another site
//! could guess credentials from its visitors' addresses, and a page whose own name was pointed at
//! this server (DNS rebinding) could read the responses, too.
//!
//! A request to the console that has neither header does not come from a current browser; it is
//! refused too. A program that posts to the console must send `Origin` or, better, use the API with
//! a token.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{HeaderMap, Method, header, request::Parts};
use url::Url;

use super::{cookies::SessionCookies, host::Hosts};
use crate::problem::ApiError;

/// The origins from which browsers may send unsafe requests.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    public: String,
    /// Whether people reach this server over https. If so, its pages have no other scheme.
    is_secure: bool,
}

impl Origins {
    /// Returns the origin of the public address. The host to which the browser sent the request is
    /// accepted as well.
    pub(crate) fn of(public_url: &Url) -> Self {
        let is_secure = public_url.scheme() == "https";
        Self { public: public_url.origin().ascii_serialization(), is_secure }
    }

    /// Whether this request comes from a page of this server.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        match text("sec-fetch-site") {
            // `none`: an action of the person, such as reloading the response to a form.
            Some(site) => matches!(site, "same-origin" | "none"),
            None => text(header::ORIGIN.as_str()).is_some_and(|origin| {
                origin == self.public || self.is_host(origin, text(header::HOST.as_str()))
            }),
        }
    }
}

impl Origins {
    /// Whether the origin is the host to which the request was sent. A page of another site has
    /// another host. A page whose name was pointed at this server has the same one, so callers also
    /// check the host ([`super::host::Hosts::check`]).
    fn is_host(&self, origin: &str, host: Option<&str>) -> bool {
        let plain = origin.strip_prefix("http://").filter(|_| !self.is_secure);
        let authority = plain.or_else(|| origin.strip_prefix("https://"));
        matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
    }
}

/// Refuses requests that a browser sends for a page of another site, or to a name that is not this
/// server's. For routes that take a credential from the body.
pub(crate) fn check_sender(
    hosts: &Hosts,
    origins: &Origins,
    parts: &Parts,
) -> Result<(), ApiError> {
    let headers = &parts.headers;
    if !is_of_browser(headers) {
        return Ok(());
    }
    hosts.check(&parts.extensions, headers)?;
    if origins.allow(headers) { Ok(()) } else { Err(refusal()) }
}

/// Whether a browser sent this request, as far as its headers show. Browsers send `Origin` with
/// every POST of a page. `Sec-Fetch-Mode` by itself proves nothing, because Node's `fetch` sends
/// it too.
fn is_of_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

/// Checks requests to the console: every request must be sent to a name of this server, and every
/// unsafe one must come from one of its pages.
pub(crate) async fn check_console(
    State(hosts): State<Arc<Hosts>>,
    State(origins): State<Origins>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(error) = hosts.check(request.extensions(), request.headers()) {
        error.into_response()
    } else if is_safe(request.method()) || origins.allow(request.headers()) {
        next.run(request).await
    } else {
        refuse()
    }
}

/// Checks requests to the API in the same way if they carry a session cookie.
pub(crate) async fn check_api(
    State(cookies): State<SessionCookies>,
    State(hosts): State<Arc<Hosts>>,
    State(origins): State<Origins>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if !cookies.is_present(headers) {
        next.run(request).await
    } else if let Err(error) = hosts.check(request.extensions(), headers) {
        error.into_response()
    } else if is_safe(request.method()) || origins.allow(headers) {
        next.run(request).await
    } else {
        refuse()
    }
}

fn is_safe(method: &Method) -> bool {
    // This includes TRACE, which is safe by RFC 9110 but served by no route.
    method.is_safe()
}

fn refuse() -> Response {
    refusal().into_response()
}

fn refusal() -> ApiError {
    ApiError::new(
        ProblemCode::CrossOrigin,
        "This request came from a page of another site, or does not name its origin. Open \
         Tessera's own page and try again there.",
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
    fn sec_fetch_site_decides_first() {
        assert!(allowed(&[("sec-fetch-site", "same-origin")]));
        assert!(allowed(&[("sec-fetch-site", "none")]));
        for site in ["cross-site", "same-site", "", "x"] {
            let headers = [("sec-fetch-site", site), ("origin", "https://tessera.example")];
            assert!(!allowed(&headers), "{site}");
        }
    }

    #[test]
    fn origin_decides_without_sec_fetch_site() {
        assert!(allowed(&[("origin", "https://tessera.example")]));
        let plain = [("origin", "http://10.0.0.5:3000"), ("host", "10.0.0.5:3000")];
        assert!(allowed_at("http://127.0.0.1:3000", &plain));
        assert!(allowed(&[("origin", "https://10.0.0.5:3000"), ("host", "10.0.0.5:3000")]));
        // An attacker on the path to an https server can forge pages of http.
        assert!(!allowed(&plain));
        assert!(!allowed(&[("origin", "http://tessera.example"), ("host", "tessera.example")]));
        for origin in ["null", "https://evil.example", "https://tessera.example.evil.example", ""] {
            assert!(!allowed(&[("origin", origin), ("host", "tessera.example")]), "{origin}");
        }
        assert!(!allowed(&[]));
        assert!(!allowed(&[("host", "tessera.example")]));
    }

    #[test]
    fn browser_is_recognised_by_any_of_its_headers() {
        let sent = |name: &'static str| {
            is_of_browser(&HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static("x"),
            )]))
        };
        for name in ["origin", "sec-fetch-site"] {
            assert!(sent(name), "{name}");
        }
        // Node's `fetch` sends the second one.
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
