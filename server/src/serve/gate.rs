//! Answers requests with 503 until the database is available: with a page for browsers and a
//! problem document for programs. `/healthz` passes, because the process is running.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use domain::problem::{Problem, ProblemCode};
use http::{HeaderName, HeaderValue, StatusCode, header};

const AGAIN_S: u64 = 2;
const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><title>Tessera is starting</title>\
    <h1>Tessera is starting</h1><p>It is waiting for its database. This page reloads automatically.</p></html>";

/// The gate, which is open or closed.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(super) fn closed() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    pub(super) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Puts a router behind the gate.
    pub(super) fn protect(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), keep))
    }
}

async fn keep(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    if gate.0.load(Ordering::Acquire) || request.uri().path() == "/healthz" {
        return next.run(request).await;
    }
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let browser = accepts.is_some_and(|accept| accept.contains("text/html"));
    let mut response = if browser { page() } else { problem() };
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, AGAIN_S.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn page() -> Response {
    let mut response = axum::response::Html(PAGE).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("refresh"), AGAIN_S.into());
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn problem() -> Response {
    let detail =
        "Tessera is starting and waiting for its database. Nothing was changed. Try again.";
    try_later(ProblemCode::Unavailable, detail)
}

/// Returns a 503 with `Retry-After` for a condition that is over in a moment.
pub(super) fn try_later(code: ProblemCode, detail: &str) -> Response {
    let mut problem = Problem::new(code, detail);
    problem.retry_after_s = Some(AGAIN_S);
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::RETRY_AFTER, AGAIN_S.into());
    response
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(gate: &Gate, path: &str, accept: &str) -> Response {
        let router = Router::new().route("/{*path}", get(|| async { "inside" }));
        let request =
            Request::get(path).header(header::ACCEPT, accept).body(Body::empty()).unwrap();
        gate.protect(router).oneshot(request).await.unwrap()
    }

    #[test]
    fn busy_refusal_has_retry_after() {
        let refusal = try_later(ProblemCode::Busy, "All connections are in use.");
        assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refusal.headers()[header::RETRY_AFTER], "2");
    }

    #[tokio::test]
    async fn closed_gate_passes_only_the_health_check() {
        let gate = Gate::closed();
        assert_eq!(ask(&gate, "/healthz", "*/*").await.status(), StatusCode::OK);
        for path in ["/readyz", "/api/v1/verify", "/auth/forward"] {
            let response = ask(&gate, path, "*/*").await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        }
        let page = ask(&gate, "/workspaces", "text/html,*/*").await;
        assert_eq!(page.headers()["refresh"], "2");
        gate.open();
        assert_eq!(ask(&gate, "/readyz", "*/*").await.status(), StatusCode::OK);
    }
}
