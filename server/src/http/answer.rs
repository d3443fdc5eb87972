//! The outermost layer: gives every request an id and every answer the same id.

use std::{any::Any, convert::Infallible};

use authority::Authority;
use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{HeaderName, HeaderValue, Method, header, request::Parts};

use super::{AppState, problem::ApiError};

/// The header that carries a request's id.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: a UUID. One that the caller sends is not used: it would let strangers
/// write into the log and the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    fn new(authority: &Authority) -> Self {
        Self(authority.request_id())
    }

    /// The id's text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self("none".to_owned())))
    }
}

/// Stamps the request and its answer; completes problems with the id and logs their causes.
pub(crate) async fn finish(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::new(&state.authority);
    let wants_body = request.method() != Method::HEAD;
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let (mut parts, _) = response.into_parts();
        let (complete, body) = error.finish(id.as_str(), wants_body).into_parts();
        // Layers in between added headers of their own, such as Allow: they stay.
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.extend(complete.headers);
        response = Response::from_parts(parts, body);
    }
    if let Ok(value) = HeaderValue::try_from(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// The answer to a request whose handler panicked. What it said is in the log by the panic hook,
/// under the same request's span.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    ApiError::new(
        ProblemCode::Internal,
        "Something went wrong in Tessera. The server's log has the cause under this request's id.",
    )
    .into_response()
}
