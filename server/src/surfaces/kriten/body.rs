//! Request bodies as Kriten reads them.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::{
    http::{
        body::{self, Readers},
        extract::parse_json,
    },
    problem::ApiError,
};

/// A JSON body, whatever its content type: curl's `--data` declares a form.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        // A login has its credential in the body. All other callers were authenticated before.
        let bytes = body::read(request, Readers::Anybody).await?;
        parse_json(&bytes).map(Self)
    }
}
