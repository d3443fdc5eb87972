//! `DELETE /api/v1/tokens/{id}`

use axum::extract::State;
use domain::ids::TokenId;
use http::StatusCode;

use super::errors::SwitchErrors;
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiPath, IfMatch, IfMatchHeader},
    problem::ApiError,
};

/// Delete a token
///
/// For good: once this is answered, the token is refused everywhere, and it can never be used
/// again. Needs the scope `tokens:write` of the audience `tessera`.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    operation_id = "deleteToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's id"),
        IfMatchHeader,
    ),
    responses((status = 204, description = "The token is deleted"), SwitchErrors),
)]
pub(crate) async fn delete_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    state.authority.tokens().delete(&context, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
