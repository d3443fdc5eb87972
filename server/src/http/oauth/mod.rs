//! The protocols of OAuth clients and gateway plugins: introspection (RFC 7662) and
//! revocation (RFC 7009).
//!
//! Requests are forms, and errors are the JSON of RFC 6749 section 5.2, because both RFCs require
//! it and their clients read nothing else: `{"error","error_description"}`. This includes errors of
//! the layers in between. Statuses are the same as elsewhere in Tessera, except that an unusable
//! value is 400.
//!
//! Callers present a token as elsewhere, or as the password of HTTP Basic, whose user name is
//! ignored: many plugins support nothing else. Sessions are not accepted here.

mod credential;
mod form;
mod introspect;
mod revoke;

use authority::Surface;
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::any,
};
use domain::problem::{Problem, ProblemCode};
use http::StatusCode;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer, body, holders, log, refusals};
use crate::{
    limits::{rate, strangers},
    problem::{self, Envelope},
    state::AppState,
};

/// Returns the operations, for the OpenAPI document.
pub(crate) fn operations() -> OpenApiRouter<AppState> {
    asking().merge(managing())
}

/// Returns the route that gateways call on every request of their own.
fn asking() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(introspect::introspect))
}

fn managing() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(revoke::revoke))
}

/// Returns the routes with their layers.
pub(crate) fn router(state: &AppState) -> Router<AppState> {
    let (asking, _) = asking().split_for_parts();
    let (managing, _) = managing().split_for_parts();
    let managing = managing
        .route("/oauth2", any(problem::not_found))
        .route("/oauth2/", any(problem::not_found))
        .route("/oauth2/{*rest}", any(problem::not_found))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), body::receive))
        .layer(from_fn_with_state(state.clone(), rate::count))
        .layer(from_fn_with_state((state.clone(), Surface::OAuth2), refusals::record))
        .layer(from_fn_with_state(state.clone(), holders::hold))
        .layer(from_fn_with_state(state.clone(), strangers::count))
        .layer(log::layer());
    asking
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), body::receive_question))
        .layer(from_fn_with_state(state.clone(), refusals::record_own))
        .layer(from_fn_with_state(state.clone(), holders::hold_question))
        .merge(managing)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(answer::panicked))
        .layer(from_fn(speak))
}

/// Makes the layers write errors in OAuth's format.
async fn speak(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(envelope as Envelope);
    response
}

fn envelope(problem: &Problem) -> (StatusCode, serde_json::Value) {
    let error = match problem.code {
        ProblemCode::Unauthenticated | ProblemCode::InvalidToken => "invalid_client",
        ProblemCode::InsufficientScope => "insufficient_scope",
        ProblemCode::Forbidden => "unauthorized_client",
        ProblemCode::RateLimited
        | ProblemCode::TooManyAttempts
        | ProblemCode::Busy
        | ProblemCode::Unavailable => "temporarily_unavailable",
        ProblemCode::Internal => "server_error",
        _ => "invalid_request",
    };
    let status = match problem.code {
        ProblemCode::ValidationFailed => StatusCode::BAD_REQUEST,
        _ => StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    // RFC 6749 section 5.2 allows visible ASCII without quotes and backslashes.
    let description: String = problem
        .detail
        .chars()
        .map(|c| match c {
            '"' => '\'',
            '\\' => '/',
            c if c == ' ' || c.is_ascii_graphic() => c,
            _ => '?',
        })
        .collect();
    (status, json!({"error": error, "error_description": description}))
}

/// An error (RFC 6749 section 5.2).
#[derive(ToSchema)]
#[schema(as = OAuthError, example = json!({
    "error": "invalid_request", "error_description": "The parameter token is missing."
}))]
#[expect(dead_code, reason = "documents the error, which the envelope writes")]
pub(crate) struct ErrorBody {
    /// The error for programs: `invalid_request`, `invalid_client` (401), `insufficient_scope` and
    /// `unauthorized_client` (403), `temporarily_unavailable` (429, 503) or `server_error` (500).
    error: String,
    /// The error for people.
    error_description: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_map_to_rfc_6749_errors() {
        for code in ProblemCode::ALL {
            let (status, body) = envelope(&Problem::new(*code, "\"é\"\\\n is wrong."));
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            assert_eq!(body["error_description"], "'?'/? is wrong.", "{code:?}");
            let expected = match status.as_u16() {
                401 if *code != ProblemCode::InvalidCredentials => "invalid_client",
                503 | 429 => "temporarily_unavailable",
                500 => "server_error",
                _ => continue,
            };
            assert_eq!(body["error"], expected, "{code:?}");
        }
        let invalid = Problem::new(ProblemCode::ValidationFailed, "x");
        assert_eq!(envelope(&invalid).0, 400);
    }
}
