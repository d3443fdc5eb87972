//! `POST /api/v1/tokens/{id}/rotate`

use authority::{Purpose, RotationDraft};
use axum::{extract::State, response::Response};
use domain::{expiry, ids::TokenId};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    children_query::DisableChildrenQuery, errors::ChangeErrors, schema::MintedBody, tagged::Minted,
};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, IfMatchHeader},
    idempotency::{IdempotencyKeyHeader, Repeatable},
    problem::ApiError,
};

/// For how long the secret that is replaced shall still work; not at all when nothing is said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation, example = json!({"grace_s": 86_400, "until_first_use": true}))]
pub(crate) struct RotationBody {
    /// For so many seconds. What policy does not allow becomes the longest grace that it does allow.
    #[serde(default)]
    #[schema(minimum = 0)]
    grace_s: Option<i64>,
    /// Until the new secret is first used, and no longer than `grace_s` or, without it, policy allows.
    #[serde(default)]
    until_first_use: bool,
    /// The token's end: an RFC 3339 moment, a date (the end of that day, UTC), or `never`; after as
    /// long a life as it had when absent. An end that is later than the caller may give becomes the latest
    /// one that they may give: by policy; for a token that rotates another one, its own end; for a token
    /// that rotates itself, the lifetime that it was given and the end of the token that made it; where an
    /// administrator set an earlier end, that end. The answer has the end that the token got.
    #[serde(default)]
    expires_at: Option<String>,
}

/// Rotate a token
///
/// The answer holds the new secret, once. Rotated again before the new secret was used, the token gets
/// another one and the older secret keeps its grace: a call whose answer got lost can be repeated
/// without cutting off whoever still holds the older secret. An expired token lives again, a disabled
/// one stays disabled. Needs the scope `tokens:write` of the audience `tessera`, every scope of the
/// token that is rotated, and no tighter addresses or rate limit than that token has. A token cannot rotate one that made
/// it, directly or through others, or that got a secret of it. After a leak, `children=true` disables the tokens that the
/// old secret may have made; `children_pending` in the answer means that some are not disabled yet and that Tessera goes on.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/rotate",
    operation_id = "rotateToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's id"),
        IfMatchHeader,
        IdempotencyKeyHeader,
        DisableChildrenQuery,
    ),
    request_body = Option<RotationBody>,
    responses(
        (status = 201, description = "The token has a new secret", body = MintedBody,
            headers(("ETag" = String, description = "Its version"), ("Idempotency-Replayed" = Option<String>, description = "`true` when the request was repeated and this is its first answer"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn rotate_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    ApiQuery(query): ApiQuery<DisableChildrenQuery>,
    repeatable: Repeatable,
    body: Option<ApiJson<Option<RotationBody>>>,
) -> Result<Response, ApiError> {
    let draft = RotationDraft { children: query.children, ..RotationBody::draft(body) };
    let (authority, of) = (state.authority.clone(), context.clone());
    let work = async move |_| {
        let minted = state.authority.tokens().rotate(&context, id, expected, draft).await?;
        Ok((StatusCode::CREATED, Minted(minted)))
    };
    repeatable.once(&authority, &of, Purpose::Token(id), work).await
}

impl RotationBody {
    /// What is asked for; nothing in particular without a body, or with null.
    pub(super) fn draft(body: Option<ApiJson<Option<Self>>>) -> RotationDraft {
        let body = body.and_then(|ApiJson(body)| body).unwrap_or_default();
        RotationDraft {
            grace_s: body.grace_s,
            until_first_use: body.until_first_use,
            expiry: body.expires_at.as_deref().map(expiry::parse),
            children: false,
        }
    }
}
