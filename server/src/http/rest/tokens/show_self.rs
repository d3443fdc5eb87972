//! `GET /api/v1/self`

use axum::extract::State;

use crate::{
    http::{
        caller::Caller,
        rest::{errors::SelfErrors, schema::TokenBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Show the presented token
///
/// Every valid token may read its own record without a scope.
#[utoipa::path(
    get,
    path = "/api/v1/self",
    operation_id = "showSelf",
    tag = "Tokens",
    responses((status = 200, description = "The presented token", body = TokenBody, headers(("ETag" = String, description = "Its version"))), SelfErrors),
)]
pub(crate) async fn show_self(
    State(state): State<AppState>,
    Caller(context): Caller,
) -> Result<Tagged<TokenBody>, ApiError> {
    let token = state.authority.tokens().show_self(&context).await?;
    Ok(token.into())
}
