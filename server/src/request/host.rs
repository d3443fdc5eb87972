//! The host that a request names.
//!
//! Every request except a health check must name one host (RFC 9110 section 7.2). If cookies count,
//! or a browser sends a credential in the body, the host must be a name of this server. Otherwise a
//! page whose name was pointed at this server (DNS rebinding) would have the same origin as the
//! responses under that name.
//!
//! Programs on this machine that use the Unix socket for themselves may name any host. Requests
//! that they pass on for other clients, as a proxy does, must follow the rule.

use std::net::IpAddr;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{Extensions, HeaderMap, HeaderName, Uri, header};

use super::{
    client_ip::{FORWARDED_FOR, Peer, peer},
    health,
};
use crate::{
    config::{Config, Setting, Source},
    problem::ApiError,
};

/// The names of this server.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    /// Whether IP addresses and `localhost` are accepted too, because no public name is configured.
    is_open: bool,
    public: String,
}

impl Hosts {
    /// Returns the configured names.
    pub(crate) fn of(config: &Config) -> Self {
        let public = config.public_url.host_str().unwrap_or_default().to_ascii_lowercase();
        let names = config.allowed_hosts.iter().cloned().chain([public]).collect();
        let is_open = config.source(Setting::PublicUrl) == Source::Default;
        Self { names, is_open, public: config.public_origin() }
    }

    /// Refuses a request to another name, unless a program on this machine sent it for itself.
    pub(crate) fn check(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        if is_own(peer(extensions), headers) {
            return Ok(());
        }
        let host = one(headers).and_then(name).unwrap_or_default();
        if self.has(host) {
            return Ok(());
        }
        let detail = format!(
            "The host {host:?} is not a name of this server. Open {}, or ask the operator to add \
             the name to the setting allowed_hosts.",
            self.public
        );
        Err(ApiError::new(ProblemCode::MalformedRequest, detail).of_host())
    }

    fn has(&self, host: &str) -> bool {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
            || self.is_open
                && (host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok())
    }
}

/// Whether a request names exactly one host, in a valid form.
pub(crate) fn is_named(peer: Option<Peer>, uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(host) = one(headers) else { return false };
    let is_same = |authority: &str| authority.eq_ignore_ascii_case(host);
    name(host).is_some() && uri.authority().is_none_or(|authority| is_same(authority.as_str()))
        || is_own(peer, headers)
}

/// Whether a program on this machine sent this request over the Unix socket for itself: no header
/// comes from a browser or a proxy.
fn is_own(peer: Option<Peer>, headers: &HeaderMap) -> bool {
    const OTHERS: [HeaderName; 8] = [
        header::ORIGIN,
        header::COOKIE,
        header::VIA,
        header::FORWARDED,
        FORWARDED_FOR,
        HeaderName::from_static("x-forwarded-host"),
        HeaderName::from_static("x-forwarded-proto"),
        HeaderName::from_static("sec-fetch-site"),
    ];
    peer == Some(Peer::Local) && !OTHERS.iter().any(|name| headers.contains_key(name))
}

/// Refuses requests that do not name exactly one host.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    if is_named(peer(request.extensions()), uri, headers) || health::is_check(uri.path()) {
        return next.run(request).await;
    }
    let detail = match headers.get_all(header::HOST).iter().count() {
        0 => "The request has no Host header. Send one Host header.",
        1 => {
            "The Host header is invalid. It must be a name or an address, with or without a port, \
             and match the request's URL."
        }
        _ => "The request has several Host headers. Send one Host header.",
    };
    ApiError::new(ProblemCode::MalformedRequest, detail).into_response()
}

/// Returns the value of the only `Host` header.
fn one(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    }
}

/// Returns the host of `host:port`; `None` if it is not a host.
fn name(text: &str) -> Option<&str> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, port) = text.split_at(end);
    let is_port =
        |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
        return None;
    }
    let is_host = if let Some(rest) = host.strip_prefix('[') {
        rest.trim_end_matches(']').parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !host.is_empty() && host.len() <= 255 && host.bytes().all(is_of_name)
    };
    is_host.then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NETWORK: Option<Peer> = Some(Peer::Network(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)));

    fn named(peer: Option<Peer>, uri: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        is_named(peer, &uri.parse().unwrap(), &headers)
    }

    #[test]
    fn exactly_one_well_formed_host_is_required() {
        for host in
            ["a", "tessera.example", "tessera.example:3000", "127.0.0.1:1", "[::1]", "[::1]:3000"]
        {
            assert!(named(NETWORK, "/", &[host]), "{host}");
        }
        for host in [
            "", ":", "a:", "a:b", "a:123456", "a b", "a/b", "a@b", "a,b", "a?", "[::1", "::1",
            "[a]", "[::1]x", "[]", "é", "a\u{7f}",
        ] {
            let value = http::HeaderValue::from_bytes(host.as_bytes());
            assert!(value.is_err() || !named(NETWORK, "/", &[host]), "{host}");
        }
        assert!(!named(NETWORK, "/", &[]));
        assert!(!named(NETWORK, "/", &["a", "a"]));
        assert!(named(NETWORK, "http://a:1/", &["A:1"]));
        assert!(!named(NETWORK, "http://b/", &["a"]));
    }

    #[test]
    fn unix_socket_accepts_any_single_host() {
        let local = Some(Peer::Local);
        assert!(named(local, "/", &["what ever"]) && named(local, "/", &[""]));
        assert!(!named(local, "/", &[]) && !named(local, "/", &["a", "b"]));
    }

    #[test]
    fn requests_from_proxies_and_browsers_on_a_unix_socket_are_not_its_own() {
        let local = Some(Peer::Local);
        let sent = |name: &'static str| {
            let value = http::HeaderValue::from_static("x");
            HeaderMap::from_iter([(HeaderName::from_static(name), value)])
        };
        for name in
            ["x-forwarded-for", "x-forwarded-proto", "via", "origin", "cookie", "sec-fetch-site"]
        {
            assert!(!is_own(local, &sent(name)), "{name}");
        }
        // Node's `fetch` sends the second one for a program.
        for name in ["user-agent", "sec-fetch-mode", "authorization"] {
            assert!(is_own(local, &sent(name)), "{name}");
            assert!(!is_own(NETWORK, &sent(name)), "{name}");
        }
    }

    #[test]
    fn only_names_of_this_server_are_accepted() {
        let hosts = |is_open| Hosts {
            names: vec!["tessera.example".into(), "10.0.0.5".into()],
            is_open,
            public: String::new(),
        };
        for (host, closed, open) in [
            ("tessera.example", true, true),
            ("TESSERA.example", true, true),
            ("10.0.0.5", true, true),
            ("localhost", false, true),
            ("127.0.0.1", false, true),
            ("[::1]", false, true),
            ("evil.example", false, false),
            ("tessera.example.evil.example", false, false),
            ("localhost.evil.example", false, false),
            ("", false, false),
        ] {
            assert_eq!((hosts(false).has(host), hosts(true).has(host)), (closed, open), "{host}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in any::<String>()) {
            let _ = name(&text);
        }
    }
}
