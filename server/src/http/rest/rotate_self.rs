//! `POST /api/v1/self/rotate`

use axum::{extract::State, response::Response};
use http::StatusCode;

use super::{errors::ChangeErrors, rotate_token::RotationBody, schema::MintedBody, tagged::Tagged};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiJson, IfMatch},
    idempotency::Repeatable,
    problem::ApiError,
};

/// Rotate the presented token
///
/// Every valid token may do so; no scope is needed. The answer holds the new secret, once. An older
/// secret in its grace may ask as long as the newer one was never used.
#[utoipa::path(
    post,
    path = "/api/v1/self/rotate",
    operation_id = "rotateSelf",
    tag = "Tokens",
    params(
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the record as it was read: a record that has changed since is left as it is (412)", example = "\"3\""),
        ("Idempotency-Key" = Option<String>, Header, description = "A text of your choice that names this attempt: 1 to 255 visible characters of ASCII, such as a UUID", example = "0198c2c4-7a00-7000-8000-0000000000aa"),
    ),
    request_body = Option<RotationBody>,
    responses(
        (status = 201, description = "The presented token has a new secret", body = MintedBody,
            headers(("ETag" = String, description = "Its version"), ("Idempotency-Replayed" = Option<String>, description = "`true` when the request was repeated and this is its first answer"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn rotate_self(
    State(state): State<AppState>,
    Caller(context): Caller,
    IfMatch(expected): IfMatch,
    repeatable: Repeatable,
    body: Option<ApiJson<Option<RotationBody>>>,
) -> Result<Response, ApiError> {
    let draft = RotationBody::draft(body);
    let (authority, of) = (state.authority.clone(), context.clone());
    let work = async move |_| {
        let minted = state.authority.tokens().rotate_self(&context, expected, draft).await?;
        Ok((StatusCode::CREATED, Tagged::<MintedBody>::from(minted)))
    };
    repeatable.once(&authority, &of, work).await
}
