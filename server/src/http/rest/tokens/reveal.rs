//! `POST /api/v1/tokens/{id}/reveal`

use axum::extract::State;
use domain::ids::TokenId;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, IfMatch, IfMatchHeader},
        rest::{errors::RevealErrors, schema::MintedBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Show a recoverable token's secret
///
/// Every call writes a row to the audit log. A token that was created without `recoverable`
/// returns 409 `not_recoverable`. If policy shows secrets only once, the response is 403
/// `reveal_not_allowed`, regardless of the policy when the token was created. Needs the scope
/// `tokens:reveal` of the audience `tessera`, every scope of the token whose secret is shown,
/// and no tighter addresses or rate limit than that token has: a more tightly bound token gets
/// 422 `bound_exceeded`.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/reveal",
    operation_id = "revealToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's ID"),
        IfMatchHeader,
    ),
    responses(
        (status = 200, description = "The token with its secret", body = MintedBody,
            headers(("ETag" = String, description = "Its version"))),
        RevealErrors,
    ),
)]
pub(crate) async fn reveal_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
) -> Result<Tagged<MintedBody>, ApiError> {
    let minted = state.authority.tokens().reveal(&context, id, expected).await?;
    Ok(minted.into())
}
