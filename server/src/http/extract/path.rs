//! Parameters in the path.

use axum::extract::{FromRequestParts, Path};
use domain::problem::ProblemCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::ApiError;

/// The variable parts of the path. A text that cannot be an ID or a slug names nothing: 404.
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::new(
                ProblemCode::NotFound,
                "There is no such resource: part of the path is not a valid ID or slug.",
            )),
        }
    }
}
