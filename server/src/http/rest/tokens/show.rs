//! `GET /api/v1/tokens/{id}`

use axum::extract::State;
use domain::ids::TokenId;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::TokenBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Show a token
///
/// Its record, without its secret. Needs the scope `tokens:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/tokens/{id}",
    operation_id = "showToken",
    tag = "Tokens",
    params(("id" = Uuid, Path, description = "The token's ID")),
    responses((status = 200, description = "The token", body = TokenBody, headers(("ETag" = String, description = "Its version"))), ReadErrors),
)]
pub(crate) async fn show_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
) -> Result<Tagged<TokenBody>, ApiError> {
    let token = state.authority.tokens().show(&context, id).await?;
    Ok(token.into())
}
