//! One log line per request: method, route, status, duration, request ID.
//!
//! The route is the router's template (`/setup/{secret}`), never the URI: URIs hold set-up secrets
//! and search texts.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    response::Response,
};
use tower_http::{
    classify::{ServerErrorsAsFailures, SharedClassifier},
    trace::TraceLayer,
};
use tracing::Span;

use crate::request::id::RequestId;

type MakeSpan = fn(&Request<Body>) -> Span;
type OnResponse = fn(&Response, Duration, &Span);

/// The layer that writes the line.
pub(crate) type LogLayer =
    TraceLayer<SharedClassifier<ServerErrorsAsFailures>, MakeSpan, (), OnResponse, (), (), ()>;

/// Returns the layer that writes the line.
pub(crate) fn layer() -> LogLayer {
    TraceLayer::new_for_http()
        .make_span_with(span as MakeSpan)
        .on_request(())
        .on_response(done as OnResponse)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

fn span(request: &Request<Body>) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let request_id = request.extensions().get::<RequestId>().map_or("none", RequestId::as_str);
    tracing::info_span!("request", method = %request.method(), route, request_id)
}

fn done(response: &Response, latency: Duration, _: &Span) {
    let status = response.status().as_u16();
    let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    if response.status().is_server_error() {
        tracing::error!(status, latency_us, "answered");
    } else {
        tracing::info!(status, latency_us, "answered");
    }
}
