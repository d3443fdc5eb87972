//! `GET /api/v1/tokens/{id}`

use axum::{Json, extract::State};
use domain::ids::TokenId;

use super::{errors::ReadErrors, schema::TokenBody};
use crate::http::{AppState, caller::Caller, extract::ApiPath, problem::ApiError};

/// Show a token
///
/// Its record, without its secret. Needs the scope `tokens:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/tokens/{id}",
    operation_id = "showToken",
    tag = "Tokens",
    params(("id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "The token", body = TokenBody), ReadErrors),
)]
pub(crate) async fn show_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
) -> Result<Json<TokenBody>, ApiError> {
    let token = state.authority.tokens().show(&context, id).await?;
    Ok(Json(token.into()))
}
