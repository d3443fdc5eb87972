//! `POST /api/v1/self/rotate`

use authority::{Purpose, RotationDraft};
use axum::{
    extract::{FromRequestParts as _, OptionalFromRequest, Request, State},
    response::Response,
};
use http::StatusCode;

use super::{children_query::DisableChildrenQuery, rotate::RotationBody};
use crate::{
    http::{
        body::{self, Readers},
        caller::Caller,
        extract::{ApiJson, ApiQuery, IfMatch, IfMatchHeader},
        idempotency::{IdempotencyKeyHeader, Repeatable},
        rest::{errors::ChangeErrors, schema::MintedBody, tagged::Minted},
    },
    problem::ApiError,
    state::AppState,
};

/// The options of the rotation, if the caller sends any.
type Body = ApiJson<Option<RotationBody>>;

/// Rotate the presented token
///
/// Every valid token may rotate itself without a scope. The response contains the new secret, which
/// is shown once. An older secret in its grace period may rotate the token as long as the newer one
/// has never been used. Send an unguessable `Idempotency-Key`: if the response is lost, the same
/// request with the replaced secret returns the same response for ten minutes, until the new secret
/// is used, and does not count as reuse of the old one. Without the scope `tokens:write` of the
/// audience `tessera`, `children=true` disables only tokens that act as the token's owner.
#[utoipa::path(
    post,
    path = "/api/v1/self/rotate",
    operation_id = "rotateSelf",
    tag = "Tokens",
    params(
        IfMatchHeader,
        IdempotencyKeyHeader,
        DisableChildrenQuery,
    ),
    request_body = Option<RotationBody>,
    responses(
        (status = 201, description = "The presented token has a new secret", body = MintedBody,
            headers(("ETag" = String, description = "Its version"), ("Idempotency-Replayed" = Option<String>, description = "`true` if the request was repeated and this is the response to the first one"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn rotate_self(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, mut body) = request.into_parts();
    let repeatable = Repeatable::from_request_parts(&mut parts, &state).await?;
    if repeatable.is_named() {
        // Read the body too: the presented secret may be the replaced one, and only a repetition of
        // the same request gets the lost response.
        let whole = Request::from_parts(parts.clone(), body);
        body = body::read(whole, Readers::Anybody).await?.into();
        if let Some(reply) = repeatable.lost_rotation(&state, &mut parts).await? {
            return Ok(reply);
        }
    }
    let Caller(context) = Caller::from_request_parts(&mut parts, &state).await?;
    let Ok(IfMatch(expected)) = IfMatch::from_request_parts(&mut parts, &state).await;
    let ApiQuery(query) =
        ApiQuery::<DisableChildrenQuery>::from_request_parts(&mut parts, &state).await?;
    let request = Request::from_parts(parts, body);

    let body = <Body as OptionalFromRequest<AppState>>::from_request(request, &state).await?;
    let draft = RotationDraft { children: query.children, ..RotationBody::draft(body) };
    let (authority, of) = (state.authority.clone(), context.clone());
    let work = async move |_| {
        let minted = state.authority.tokens().rotate_self(&context, expected, draft).await?;
        Ok((StatusCode::CREATED, Minted(minted)))
    };
    repeatable.once(&authority, &of, Purpose::Own, work).await
}
