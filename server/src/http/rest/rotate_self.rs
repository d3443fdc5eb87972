//! `POST /api/v1/self/rotate`

use axum::{extract::State, response::Response};
use http::StatusCode;

use super::{errors::ChangeErrors, rotate_token::RotationBody, schema::MintedBody, tagged::Tagged};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiJson, IfMatch, IfMatchHeader},
    idempotency::{IdempotencyKeyHeader, Repeatable},
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
        IfMatchHeader,
        IdempotencyKeyHeader,
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
