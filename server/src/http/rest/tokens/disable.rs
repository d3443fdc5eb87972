//! `POST /api/v1/tokens/{id}/disable`

use axum::extract::State;
use domain::ids::TokenId;

use super::children_query::ChildrenQuery;
use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        rest::{errors::ChangeErrors, schema::TokenBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Disable a token
///
/// The token is refused everywhere until it is enabled again. Disabling a disabled token changes
/// nothing. Needs the scope `tokens:write` of the audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/disable",
    operation_id = "disableToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's ID"),
        IfMatchHeader,
        ChildrenQuery,
    ),
    responses(
        (status = 200, description = "The token after the change", body = TokenBody,
            headers(("ETag" = String, description = "Its version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn disable_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    ApiQuery(query): ApiQuery<ChildrenQuery>,
) -> Result<Tagged<TokenBody>, ApiError> {
    let tokens = state.authority.tokens();
    let token = tokens.disable_with_children(&context, id, expected, query.children).await?;
    Ok(token.into())
}
