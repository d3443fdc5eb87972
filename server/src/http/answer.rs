//! The outermost layer: gives every request an ID, and its response the same ID.

use std::{any::Any, convert::Infallible};

use authority::Authority;
use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{HeaderName, HeaderValue, Method, header, request::Parts};

use super::{
    AppState, forward,
    problem::{ApiError, Envelope, Form},
};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's ID: a UUID. An ID sent by the client is ignored, because it would let
/// unauthenticated clients write into the log and the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    fn new(authority: &Authority) -> Self {
        Self(authority.request_id())
    }

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

/// Adds the ID to the request and its response, completes problems with the ID, and logs
/// their causes.
pub(crate) async fn finish(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::new(&state.authority);
    let form = form(&request);
    request.extensions_mut().insert(id.clone());
    complete(next.run(request).await, id.as_str(), form)
}

/// Writes the error that the handler returned, if any, and adds the request's ID.
pub(crate) fn complete(mut response: Response, id: &str, form: Form) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let (mut parts, _) = response.into_parts();
        let form = match parts.extensions.remove::<Envelope>() {
            Some(envelope) if !matches!(form, Form::Head) => Form::Envelope(envelope),
            _ => form,
        };
        let (complete, body) = error.finish(id, form).into_parts();
        // Keep headers that layers in between added, such as `Allow`.
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.extend(complete.headers);
        parts.status = complete.status;
        response = Response::from_parts(parts, body);
    }
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// Returns how to write errors: problems for programs, and pages for browsers that open the
/// console, even if a layer refuses the request.
fn form(request: &Request) -> Form {
    let path = request.uri().path();
    let for_programs = path == "/api" || path.starts_with("/api/") || path == forward::PATH;
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    if request.method() == Method::HEAD {
        Form::Head
    } else if !for_programs && request.headers().get_all(header::ACCEPT).iter().any(accepts) {
        Form::Page
    } else {
        Form::Problem
    }
}

/// Returns the response to a request whose handler panicked. The panic hook has logged the message
/// under the same request's span.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    ApiError::new(
        ProblemCode::Internal,
        "Something went wrong in Tessera. The server's log has the cause under this request's id.",
    )
    .into_response()
}
