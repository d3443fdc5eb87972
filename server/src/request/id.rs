//! The id of a request, by which people find it in the log.

use std::convert::Infallible;

use authority::Authority;
use axum::extract::FromRequestParts;
use http::{HeaderName, request::Parts};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's ID: a UUID. An ID sent by the client is ignored, because it would let
/// unauthenticated clients write into the log and the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// Returns a new id.
    pub(crate) fn new(authority: &Authority) -> Self {
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
