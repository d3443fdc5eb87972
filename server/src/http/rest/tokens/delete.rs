//! `DELETE /api/v1/tokens/{id}`

use axum::extract::State;
use domain::ids::TokenId;
use http::StatusCode;

use super::children_query::ChildrenQuery;
use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        rest::errors::ChangeErrors,
    },
    problem::ApiError,
    state::AppState,
};

/// Delete a token
///
/// This is permanent: once the response is sent, the token is refused everywhere, and it can never
/// be used again. Needs the scope `tokens:write` of the audience `tessera`.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    operation_id = "deleteToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's ID"),
        IfMatchHeader,
        ChildrenQuery,
    ),
    responses((status = 204, description = "The token was deleted"), ChangeErrors),
)]
pub(crate) async fn delete_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    ApiQuery(query): ApiQuery<ChildrenQuery>,
) -> Result<StatusCode, ApiError> {
    let tokens = state.authority.tokens();
    tokens.delete_with_children(&context, id, expected, query.children).await?;
    Ok(StatusCode::NO_CONTENT)
}
