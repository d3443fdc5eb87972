//! `DELETE /api/v1/tokens/{id}/grace`

use axum::extract::State;
use domain::ids::TokenId;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, IfMatch, IfMatchHeader},
        rest::{errors::SwitchErrors, schema::TokenBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// End a token's grace
///
/// The secret that a rotation replaced stops working. A token that is not in its grace period stays
/// as it is. Needs the scope `tokens:write` of the audience `tessera`.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}/grace",
    operation_id = "endGrace",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's ID"),
        IfMatchHeader,
    ),
    responses(
        (status = 200, description = "The token after the change", body = TokenBody,
            headers(("ETag" = String, description = "Its version"))),
        SwitchErrors,
    ),
)]
pub(crate) async fn end_grace(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
) -> Result<Tagged<TokenBody>, ApiError> {
    let token = state.authority.tokens().end_grace(&context, id, expected).await?;
    Ok(token.into())
}
