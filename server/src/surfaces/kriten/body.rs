//! A body as Kriten reads it.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use domain::problem::ProblemCode;
use serde::de::DeserializeOwned;

use crate::http::{extract::parse_json, problem::ApiError};

/// A body of JSON, whatever type it was announced as: curl's `--data` announces a form.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let bytes = Bytes::from_request(request, state).await.map_err(|_| {
            ApiError::new(ProblemCode::MalformedRequest, "The request's body cannot be read.")
        })?;
        parse_json(&bytes).map(Self)
    }
}
