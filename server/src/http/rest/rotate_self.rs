//! `POST /api/v1/self/rotate`

use axum::extract::State;
use http::StatusCode;

use super::{
    errors::ChangeErrors,
    rotate_token::RotationBody,
    schema::MintedBody,
    tagged::{IfMatch, Tagged},
};
use crate::http::{AppState, caller::Caller, extract::ApiJson, problem::ApiError};

/// Rotate the presented token
///
/// Every valid token may do so; no scope is needed. The answer holds the new secret, once. An older
/// secret in its grace may ask as long as the newer one was never used.
#[utoipa::path(
    post,
    path = "/api/v1/self/rotate",
    operation_id = "rotateSelf",
    tag = "Tokens",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the record as it was read: a record that has changed since is left as it is (412)", example = "\"3\"")),
    request_body = Option<RotationBody>,
    responses(
        (status = 201, description = "The presented token has a new secret", body = MintedBody,
            headers(("ETag" = String, description = "Its version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn rotate_self(
    State(state): State<AppState>,
    Caller(context): Caller,
    IfMatch(expected): IfMatch,
    body: Option<ApiJson<Option<RotationBody>>>,
) -> Result<(StatusCode, Tagged<MintedBody>), ApiError> {
    let draft = RotationBody::draft(body);
    let minted = state.authority.tokens().rotate_self(&context, expected, draft).await?;
    Ok((StatusCode::CREATED, minted.into()))
}
