//! `POST /api/v1/tokens/{id}/clone`

use authority::Purpose;
use axum::{extract::State, response::Response};
use domain::ids::TokenId;
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        idempotency::{IdempotencyKeyHeader, Repeatable},
        rest::{errors::ChangeErrors, schema::MintedBody, tagged::Minted},
    },
    problem::ApiError,
    state::AppState,
};

/// The properties that the new token does not copy.
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
/// Creates a token with the description, owner, audiences, scopes, addresses and tags of another
/// one, and the same lifetime. The response contains its secret, which is shown once. Needs the
/// scope `tokens:write` of the audience `tessera`, and every scope of the cloned token.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/clone",
    operation_id = "cloneToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The ID of the token to clone"),
        IfMatchHeader,
        IdempotencyKeyHeader,
    ),
    request_body = CloneBody,
    responses(
        (status = 201, description = "The token was created", body = MintedBody,
            headers(
                ("Location" = String, description = "The new token's path"),
                ("ETag" = String, description = "The new token's version"),
                ("Idempotency-Replayed" = Option<String>, description = "`true` if the request was repeated and this is the response to the first one"),
            )),
        ChangeErrors,
    ),
)]
pub(crate) async fn clone_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    repeatable: Repeatable,
    ApiJson(body): ApiJson<CloneBody>,
) -> Result<Response, ApiError> {
    let (authority, of) = (state.authority.clone(), context.clone());
    let work = async move |_| {
        let minted = state.authority.tokens().clone_of(&context, id, expected, body.name).await?;
        let location = format!("/api/v1/tokens/{}", minted.token.id);
        Ok((StatusCode::CREATED, [(header::LOCATION, location)], Minted(minted)))
    };
    repeatable.once(&authority, &of, Purpose::Token(id), work).await
}
