//! `POST /api/v1/tokens/{id}/clone`

use axum::extract::State;
use domain::ids::TokenId;
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    errors::ChangeErrors,
    schema::MintedBody,
    tagged::{IfMatch, Tagged},
};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiJson, ApiPath},
    problem::ApiError,
};

/// What the new token shall have of its own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenClone, example = json!({"name": "deploy-bot 2"}))]
pub(crate) struct CloneBody {
    /// Its name: 1 to 128 characters on one line.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
}

/// Clone a token
///
/// Makes a new token with the description, user, audiences, scopes, addresses and tags of another one,
/// and as long a life. The answer holds its secret, once. Needs the scope `tokens:write` of the
/// audience `tessera`, and every scope of the token that is cloned.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/clone",
    operation_id = "cloneToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The id of the token to clone"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the record as it was read: a record that has changed since is left as it is (412)", example = "\"3\""),
    ),
    request_body = CloneBody,
    responses(
        (status = 201, description = "The token was made", body = MintedBody,
            headers(
                ("Location" = String, description = "The new token's path"),
                ("ETag" = String, description = "The new token's version"),
            )),
        ChangeErrors,
    ),
)]
pub(crate) async fn clone_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<CloneBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<MintedBody>), ApiError> {
    let minted = state.authority.tokens().clone_of(&context, id, expected, body.name).await?;
    let location = format!("/api/v1/tokens/{}", minted.token.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], minted.into()))
}
