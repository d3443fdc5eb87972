//! `POST /api/v1/tokens/{id}/rotate`

use authority::{Purpose, RotationDraft};
use axum::{extract::State, response::Response};
use domain::{expiry, ids::TokenId};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::children_query::DisableChildrenQuery;
use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        idempotency::{IdempotencyKeyHeader, Repeatable},
        rest::{errors::ChangeErrors, schema::MintedBody, tagged::Minted},
    },
    problem::ApiError,
    state::AppState,
};

/// How long the replaced secret still works. By default it stops working immediately.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation, example = json!({"grace_s": 86_400, "until_first_use": true}))]
pub(crate) struct RotationBody {
    /// In seconds. A value beyond what policy allows is shortened to the longest allowed grace.
    #[serde(default)]
    #[schema(minimum = 0)]
    grace_s: Option<i64>,
    /// Until the new secret is first used, but no longer than `grace_s` or, without it, than
    /// policy allows.
    #[serde(default)]
    until_first_use: bool,
    /// When the token expires: an RFC 3339 timestamp, a date (the end of that day, UTC), or
    /// `never`. If absent, the token gets the same lifetime as before. A time later than the caller
    /// may give is shortened to the latest that they may give. That limit is set by policy; for a
    /// token that rotates another one, by its own expiry; for a token that rotates itself, by its
    /// original lifetime and the expiry of the token that created it; and by an earlier expiry that
    /// an administrator set. The response contains the resulting expiry.
    #[serde(default)]
    expires_at: Option<String>,
}

/// Rotate a token
///
/// The response contains the new secret, which is shown once. If the token is rotated again before
/// the new secret is used, it gets another secret and the older secret keeps its grace: a call
/// whose response is lost can be repeated without cutting off clients that still use the older
/// secret. An expired token becomes valid again; a disabled one stays disabled. Needs the scope
/// `tokens:write` of the audience `tessera`, every scope of the rotated token, and no tighter
/// addresses or rate limit than that token has. A token cannot rotate one that created it, directly
/// or through others, or that obtained a secret of it. After a leak, `children=true` disables the
/// tokens that the old secret may have created; `children_pending` in the response means that
/// Tessera is still disabling some of them.
#[utoipa::path(
    post,
    path = "/api/v1/tokens/{id}/rotate",
    operation_id = "rotateToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's ID"),
        IfMatchHeader,
        IdempotencyKeyHeader,
        DisableChildrenQuery,
    ),
    request_body = Option<RotationBody>,
    responses(
        (status = 201, description = "The token has a new secret", body = MintedBody,
            headers(("ETag" = String, description = "Its version"), ("Idempotency-Replayed" = Option<String>, description = "`true` if the request was repeated and this is the response to the first one"))),
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
    /// Returns the requested rotation. Without a body, or with null, all options have
    /// their defaults.
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
