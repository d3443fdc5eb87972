//! Headers that restrict what browsers may do with a response.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::state::AppState;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The policy of every response that is not a page: it loads nothing, and it cannot be framed.
const DATA_CSP: &str = "default-src 'none'; frame-ancestors 'none'";

/// One year. Without `includeSubDomains`, because Tessera does not own the other names of its host.
const HSTS: &str = "max-age=31536000";

/// The browser features that the console needs: the clipboard, to copy a new token, and passkeys.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), \
     clipboard-write=(self), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
     magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
     publickey-credentials-get=(self), screen-wake-lock=(), serial=(), usb=(), \
     xr-spatial-tracking=()";

/// Returns the policy of a console page: scripts that carry this nonce and those that they load,
/// WebAssembly, the server's own styles and images, and calls and forms to this server.
pub(crate) fn console_csp(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
         manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Adds the missing headers. Headers that the handler set stay, except that no response may be
/// framed or sniffed.
pub(crate) async fn protect(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    complete(response.headers_mut(), state.cookies.is_secure());
    response
}

fn complete(headers: &mut HeaderMap, is_https: bool) {
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::CONTENT_SECURITY_POLICY, DATA_CSP);
    default(header::CACHE_CONTROL, "no-store");
    // Not `no-referrer`: under that policy browsers send `Origin: null` with forms, and the origin
    // check could not distinguish our own pages from those of another site. This policy reveals
    // only the origin to other sites.
    default(header::REFERRER_POLICY, "strict-origin");
    default(PERMISSIONS_POLICY, PERMISSIONS);
    default(CROSS_ORIGIN_OPENER_POLICY, "same-origin");
    default(CROSS_ORIGIN_RESOURCE_POLICY, "same-origin");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_keeps_its_own_policy_and_gets_missing_headers() {
        let mut headers = HeaderMap::new();
        let own = HeaderValue::try_from(console_csp("abc")).unwrap();
        headers.insert(header::CONTENT_SECURITY_POLICY, own.clone());
        complete(&mut headers, false);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], own);
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn hsts_is_sent_only_over_https() {
        let mut headers = HeaderMap::new();
        complete(&mut headers, true);
        assert_eq!(headers[header::STRICT_TRANSPORT_SECURITY], HSTS);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], DATA_CSP);
    }

    #[test]
    fn console_policy_allows_nothing_inline() {
        let policy = console_csp("abc");
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
        assert!(HeaderValue::try_from(policy).is_ok());
    }
}
