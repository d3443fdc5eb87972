//! `POST /api/v1/tokens/{id}/enable`

use axum::extract::State;
use domain::ids::TokenId;

use super::children_query::NoQuery;
use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        rest::{errors::ChangeErrors, schema::TokenBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Enable a token
///
/// Enabling an enabled token changes nothing. Needs the scope `tokens:write` of the
/// audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/enable",
    operation_id = "enableToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's ID"),
        IfMatchHeader,
    ),
    responses(
        (status = 200, description = "The token after the change", body = TokenBody,
            headers(("ETag" = String, description = "Its version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn enable_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    ApiQuery(NoQuery {}): ApiQuery<NoQuery>,
) -> Result<Tagged<TokenBody>, ApiError> {
    let token = state.authority.tokens().enable(&context, id, expected).await?;
    Ok(token.into())
}
