//! The outermost layer: gives every request an ID, and its response the same ID.

use std::any::Any;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{HeaderValue, Method, header};

use super::forward;
use crate::{
    problem::{ApiError, Envelope, Form},
    request::id::{RequestId, X_REQUEST_ID},
    state::AppState,
};

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
