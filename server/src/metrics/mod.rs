//! `GET /metrics` on a separate listener, for Prometheus and programs that read its format.
//!
//! The listener does not authenticate its clients. The numbers contain no names, no IDs and nothing
//! that a caller sent. They come from atomics and system files, never from the database: a server
//! that has lost its database still reports it here.
//!
//! To add a number, count it where it happens (`authority::Counters`, [`Traffic`]) and add a line
//! in [`mod@render`]. Its name begins with `tessera_` and ends with its unit or `_total`. Its labels
//! have few values, all known in advance.

mod process;
mod render;
mod text;
mod traffic;

use std::{net::SocketAddr, sync::Arc};

use authority::{
    Authority,
    clock::{Clock as _, SystemClock},
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use domain::problem::{Problem, ProblemCode};
use http::{HeaderValue, StatusCode, header};

pub(crate) use self::traffic::{Traffic, count};

use self::render::render;

/// Prometheus text format 0.0.4.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The source of the numbers.
#[derive(Clone)]
struct Source {
    authority: Authority,
    traffic: Arc<Traffic>,
    /// The server's start time, in seconds since 1970.
    started_s: i64,
}

/// Returns the router of the metrics listener.
pub(crate) fn router(authority: Authority, traffic: Arc<Traffic>) -> Router {
    let started_s = SystemClock.now().unix_timestamp();
    Router::new()
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Source { authority, traffic, started_s })
}

/// Warns if the numbers can be read from outside this machine.
pub(crate) fn warn_if_open(address: SocketAddr) {
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "anyone who can reach this address can read the metrics: keep it within a private \
             network"
        );
    }
}

async fn metrics(State(source): State<Source>) -> Response {
    let text =
        render(&source.authority.observe(), &source.traffic, source.started_s, process::resident());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(FORMAT)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text).into_response()
}

async fn not_found() -> Response {
    problem(ProblemCode::NotFound, "This address serves only /metrics.")
}

async fn method_not_allowed() -> Response {
    problem(ProblemCode::MethodNotAllowed, "Read the metrics with GET.")
}

fn problem(code: ProblemCode, detail: &str) -> Response {
    let problem = Problem::new(code, detail);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    (status, kind, Json(problem)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::state::AppState;

    async fn ask(method: &str, path: &str) -> (StatusCode, String, String) {
        let state = AppState::without_database();
        let router = router(state.authority, state.traffic);
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn listener_serves_only_metrics_and_needs_no_database() {
        let (status, kind, text) = ask("GET", "/metrics").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, FORMAT));
        assert!(text.contains("\ntessera_verifications_total{code=\"VALID\"} 0\n"), "{text}");
        for path in ["/", "/healthz", "/metrics/", "/api/v1/verify", "/sign-in"] {
            let (status, kind, _) = ask("GET", path).await;
            assert_eq!((status.as_u16(), kind.as_str()), (404, "application/problem+json"));
        }
        assert_eq!(ask("POST", "/metrics").await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(ask("HEAD", "/metrics").await.2, "");
    }
}
