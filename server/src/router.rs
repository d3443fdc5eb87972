//! The routes, and the layers of each.
//!
//! The table lists the layers from the outside in. Surfaces of other products pass the same layers
//! as the API, and `surfaces::speak`. OAuth's revocation passes the layers of the API, and its
//! introspection those of verify. Both skip `origin`, because they do not accept cookies, and pass
//! `oauth::speak` as well.
//!
//! | layer | console | API | verify, health | `/auth/forward` |
//! |---|---|---|---|---|
//! | `answer::finish`: request ID, problems | ✓ | ✓ | ✓ | ✓ |
//! | `host::check`: one host is named | ✓ | ✓ | ✓ but health | ✓ |
//! | `headers::protect` | ✓ | ✓ | ✓ | |
//! | catch panics | ✓ | ✓ | ✓ | ✓ |
//! | `log::layer` | ✓ | ✓ | | |
//! | `metrics::count` | | ✓ | | |
//! | `holders::hold…`: shares, responses above 8 KiB | ✓ | ✓ | ✓ | |
//! | `strangers::count`: places | ✓ | ✓ | | |
//! | `refusals::record…` | ✓ | ✓ | ✓ | |
//! | `rate::count` | posts | ✓ | | |
//! | `body::receive…`: lends the body, time | ✓ | ✓ | ✓ | |
//! | `origin::check_*` | ✓ | ✓ | ✓ | |
//!
//! Layers that refuse requests are inside `body::receive`, which discards unread bodies: a response
//! before the end of the request costs an HTTP/1.1 client its connection, and some HTTP/2 clients
//! never show such a response. No layer reads a body.
//!
//! `/auth/forward` gets no headers for browsers: gateways pass its refusals on under the names of
//! other hosts, to which Tessera's policies must not apply. Session lookup is not a layer: handlers
//! that need the session call `caller`.

use authority::Surface;
use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::any,
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    assets, console,
    http::{
        answer, body, docs, forward, headers, health, holders, log, oauth, openapi, refusals, rest,
    },
    limits::{rate, strangers},
    metrics, problem,
    request::{host, origin},
    state::AppState,
    surfaces,
};

/// Returns the router with all routes.
pub(crate) fn router(state: AppState) -> Router {
    let api = managing(&state).merge(asking(&state)).with_state(state.clone());
    let console = console::router(state.clone())
        .layer(from_fn_with_state(state.clone(), origin::check_console))
        .layer(from_fn_with_state(state.clone(), body::receive))
        .layer(from_fn_with_state(state.clone(), rate::count_posts))
        .layer(from_fn_with_state((state.clone(), Surface::Console), refusals::record))
        .layer(from_fn_with_state(state.clone(), holders::hold))
        .layer(from_fn_with_state(state.clone(), strangers::count))
        .layer(log::layer());
    let browsers = console
        .merge(api)
        .merge(surfaces::router(&state).with_state(state.clone()))
        .merge(oauth::router(&state).with_state(state.clone()))
        .merge(assets::router())
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(from_fn_with_state(state.clone(), headers::protect));
    let gateways = forward::router()
        .with_state(state.clone())
        .layer(CatchPanicLayer::custom(answer::panicked));
    browsers
        .merge(gateways)
        .layer(from_fn(host::check))
        .layer(from_fn_with_state(state, answer::finish))
}

/// Returns the API, except the routes that services call on every request of their own.
fn managing(state: &AppState) -> Router<AppState> {
    let (routes, _) = rest::managing().split_for_parts();
    routes
        .merge(openapi::router())
        .merge(surfaces::documents(&state.config.surfaces))
        .merge(docs::router())
        .route("/api", any(problem::not_found))
        .route("/api/", any(problem::not_found))
        .route("/api/{*rest}", any(problem::not_found))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), origin::check_api))
        .layer(from_fn_with_state(state.clone(), body::receive))
        .layer(from_fn_with_state(state.clone(), rate::count))
        .layer(from_fn_with_state((state.clone(), Surface::Rest), refusals::record))
        .layer(from_fn_with_state(state.clone(), holders::hold))
        .layer(from_fn_with_state(state.clone(), strangers::count))
        .layer(from_fn_with_state(state.clone(), metrics::count))
        .layer(log::layer())
}

/// Returns the routes that services and load balancers call all the time. They are not logged.
fn asking(state: &AppState) -> Router<AppState> {
    let (routes, _) = rest::asking().split_for_parts();
    routes
        .merge(health::router())
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), origin::check_api))
        .layer(from_fn_with_state(state.clone(), body::receive_question))
        .layer(from_fn_with_state(state.clone(), refusals::record_own))
        .layer(from_fn_with_state(state.clone(), holders::hold_question))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request, response::Response, routing::get};
    use domain::token_text;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(router: Router, request: Request) -> Response {
        router.oneshot(request).await.unwrap()
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn forward(token: &str) -> Request {
        let bearer = format!("Bearer {token}");
        Request::get(forward::PATH)
            .header("host", "x")
            .header("authorization", bearer)
            .body(Body::empty())
            .unwrap()
    }

    #[tokio::test]
    async fn malformed_tokens_are_refused_without_a_database() {
        let router = router(AppState::without_database());
        let good = token_text::compose("tsr", &"0".repeat(30));
        for token in ["XYZ", &format!("{}x", &good[..39])] {
            let response = ask(router.clone(), forward(token)).await;
            assert_eq!(response.status(), 401);
            assert_eq!(response.headers()["x-tessera-code"], "MALFORMED");
        }
    }

    #[tokio::test]
    async fn requests_without_a_database_get_503_with_retry_after() {
        let router = router(AppState::without_database());
        let good = token_text::compose("tsr", &"0".repeat(30));
        let ready = Request::get("/readyz").header("host", "x").body(Body::empty()).unwrap();
        let own = Request::get("/api/v1/self")
            .header("host", "x")
            .header("token", &good)
            .body(Body::empty())
            .unwrap();
        for request in [forward(&good), ready, own] {
            let response = ask(router.clone(), request).await;
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "1");
            let problem: Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(problem["code"], "unavailable");
            assert!(problem["request_id"].is_string());
        }
        let alive = Request::get("/healthz").body(Body::empty()).unwrap();
        assert_eq!(ask(router, alive).await.status(), 200);
    }

    #[tokio::test]
    async fn panic_response_is_a_problem_for_programs_and_a_page_for_browsers() {
        let state = AppState::without_database();
        let panics = get(async || -> &'static str { panic!("a secret cause") });
        let router = Router::new()
            .route("/api/panics", panics.clone())
            .route("/panics", panics)
            .layer(CatchPanicLayer::custom(answer::panicked))
            .layer(from_fn_with_state(state.clone(), headers::protect))
            .layer(from_fn_with_state(state, answer::finish));
        for (path, kind) in
            [("/api/panics", "application/problem+json"), ("/panics", "text/html; charset=utf-8")]
        {
            let request = Request::get(path).header("accept", "text/html,*/*");
            let response = ask(router.clone(), request.body(Body::empty()).unwrap()).await;
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()["content-type"], kind);
            assert_eq!(response.headers()["x-frame-options"], "DENY");
            let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
            let text = text(response).await;
            assert!(text.contains(&id) && !text.contains("secret cause"), "{text}");
        }
    }

    #[tokio::test]
    async fn console_refuses_cross_site_posts() {
        let router = router(AppState::without_database());
        let request = Request::post("/sign-in")
            .header("origin", "https://evil.example")
            .header("host", "127.0.0.1:3000")
            .header("accept", "text/html")
            .body(Body::empty())
            .unwrap();
        let response = ask(router, request).await;
        assert_eq!(response.status(), 403);
        assert!(text(response).await.contains("another site"));
    }
}
