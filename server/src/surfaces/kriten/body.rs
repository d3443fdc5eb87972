//! A body as Kriten reads it.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::http::{
    body::{self, Readers},
    extract::parse_json,
    problem::ApiError,
};

/// A body of JSON, whatever type it was announced as: curl's `--data` announces a form.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        // Logging in has its credential in the body; all other callers were authenticated before.
        let bytes = body::read(request, Readers::Anybody).await?;
        parse_json(&bytes).map(Self)
    }
}
