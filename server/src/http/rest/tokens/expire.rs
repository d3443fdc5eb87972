//! `POST /api/v1/tokens/{id}/expire`

use axum::extract::State;
use domain::ids::TokenId;

use super::children_query::NoQuery;
use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        rest::{errors::SwitchErrors, schema::TokenBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Expire a token now
///
/// The token stays listed. It becomes valid again when it is rotated or gets a later
/// expiry. Expiring an expired token changes nothing. Needs the scope `tokens:write` of the
/// audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/expire",
    operation_id = "expireToken",
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
pub(crate) async fn expire_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Tagged<TokenBody>, ApiError> {
    let token = state.authority.tokens().expire(&context, id, expected).await?;
    Ok(token.into())
}
