//! `DELETE /api/v1/self`

use axum::extract::State;
use http::StatusCode;

use super::children_query::ChildrenQuery;
use crate::{
    http::{
        caller::Caller,
        extract::{ApiQuery, IfMatch, IfMatchHeader},
        rest::errors::ChangeErrors,
    },
    problem::ApiError,
    state::AppState,
};

/// Delete the presented token
///
/// This is permanent: once the response is sent, the token is refused everywhere. Every valid token
/// may delete itself without a scope. Deleting its children too (`children=true`) needs the scope
/// `tokens:write` of the audience `tessera`.
#[utoipa::path(
    delete,
    path = "/api/v1/self",
    operation_id = "deleteSelf",
    tag = "Tokens",
    params(IfMatchHeader, ChildrenQuery),
    responses((status = 204, description = "The presented token was deleted"), ChangeErrors),
)]
pub(crate) async fn delete_self(
    State(state): State<AppState>,
    Caller(context): Caller,
    IfMatch(expected): IfMatch,
    ApiQuery(query): ApiQuery<ChildrenQuery>,
) -> Result<StatusCode, ApiError> {
    let tokens = state.authority.tokens();
    if query.children {
        tokens.delete_self_with_children(&context, expected).await?;
    } else {
        tokens.delete_self(&context, expected).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
