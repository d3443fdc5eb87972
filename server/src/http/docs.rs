//! `/api/docs`: a page to read and try the API. It consists of one page, one script and one style
//! sheet of our own, without third parties, under a policy that lets the page load only these.

use axum::{Router, response::IntoResponse, routing::get};
use http::{HeaderName, header};

use crate::state::AppState;

/// Our own files and calls to this server, nothing else.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Returns the routes of the page and its two files.
pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/api/docs", get(async || file("text/html", include_str!("docs/page.html"))))
        .route("/api/docs/docs.css", get(async || file("text/css", include_str!("docs/docs.css"))))
        .route(
            "/api/docs/docs.js",
            get(async || file("text/javascript", include_str!("docs/docs.js"))),
        )
}

fn file(kind: &str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, String); 3] = [
        (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, CSP.to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, text)
}
