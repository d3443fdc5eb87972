//! Server functions over HTTP, for hydrated pages.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use leptos::prelude::provide_context;

use super::visit::Visit;
use crate::{
    http::{
        body::{self, Readers},
        refusals::Refused,
    },
    problem::ApiError,
};

/// Calls a server function. Server functions only read: see the crate `app`.
pub(super) async fn call(visit: Visit, request: Request) -> Response {
    let path = request.uri().path();
    if server_fn::axum::get_server_fn_service(path, request.method().clone()).is_none() {
        return ApiError::new(ProblemCode::NotFound, "There is no function at this address.")
            .into_response();
    }
    if let Err(refused) = visit.count(request.extensions()).await {
        return refused;
    }
    let (path, refusal) = (path.to_owned(), visit.request.refusal.clone());
    let (parts, body) = request.into_parts();
    let whole = Request::from_parts(parts.clone(), body);
    let body = match body::read(whole, Readers::Anybody).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    // A browser that navigates here gets the result. leptos would redirect it back, which only
    // helps plain forms, and no form of the console calls a server function.
    request.headers_mut().remove(http::header::ACCEPT);
    let contexts = move || provide_context(visit.request.clone());
    let mut response =
        leptos_axum::handle_server_fns_with_context(contexts, request).await.into_response();
    if let Some(code) = refusal.code().filter(|_| response.status().is_client_error()) {
        Refused::function(code, &path).mark(&mut response);
    }
    response
}
