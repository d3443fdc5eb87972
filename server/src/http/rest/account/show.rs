//! `GET /api/v1/account`

use axum::{Json, extract::State};

use crate::{
    http::{
        caller::Caller,
        rest::{errors::SelfErrors, schema::AccountBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Show your account
///
/// For signed-in people; a token has no account.
#[utoipa::path(
    get,
    path = "/api/v1/account",
    operation_id = "showAccount",
    tag = "Account",
    responses((status = 200, description = "The account", body = AccountBody), SelfErrors),
)]
pub(crate) async fn show_account(
    State(state): State<AppState>,
    Caller(context): Caller,
) -> Result<Json<AccountBody>, ApiError> {
    Ok(Json(state.authority.passwords().account(&context).await?.into()))
}
