//! `POST /oauth2/revoke` (RFC 7009)

use authority::Surface;
use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{Extensions, StatusCode, header, request::Parts};

use super::{
    ErrorBody,
    credential::{caller, credential},
    form::{FormBody, TokenForm},
};
use crate::{
    http::{caller::anonymous, refusals::Asker},
    problem::ApiError,
    request::origin::check_sender,
    state::AppState,
};

/// A request's credential, with its context and extensions, before the credential is checked.
pub(super) struct Revoker {
    context: authority::OpContext,
    credential: Option<String>,
    extensions: Extensions,
}

impl FromRequestParts<AppState> for Revoker {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let context = anonymous(parts, state, Surface::OAuth2).await;
        check_sender(&state.hosts, &state.origins, parts)?;
        let credential = credential(&parts.headers).map_err(ApiError::or_basic)?;
        Ok(Self { context, credential, extensions: parts.extensions.clone() })
    }
}

/// Revoke a token
///
/// Revokes a token permanently (RFC 7009), as if it were deleted. Every bearer of a token may
/// revoke it: without a credential, or with the token itself as the credential. With another
/// credential, the caller needs the scope `tokens:write` of the audience `tessera`, as for deleting
/// the token. A token that is unknown, has expired, or is not visible to the caller gets the same
/// response as a revoked one.
#[utoipa::path(
    post,
    path = "/oauth2/revoke",
    operation_id = "revoke",
    tag = "OAuth",
    security((), ("bearer" = []), ("token" = []), ("rime-api-key" = []), ("basic" = [])),
    request_body(content = FormBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is not accepted again, or never was accepted"),
        (status = 400, description = "The form contains no token or two tokens, the request contains two different credentials, or a browser sent it to a host name that is not the server's", body = ErrorBody),
        (status = 401, description = "The credential is not accepted", body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer` (RFC 6750) and `Basic` (RFC 7617)"))),
        (status = 403, description = "The caller may see the token but not revoke it, or a browser sent the request for a page of another site", body = ErrorBody,
            headers(("WWW-Authenticate" = Option<String>, description = "With `error=\"insufficient_scope\"` (RFC 6750)"))),
        (status = 413, description = "The form is larger than 16,384 bytes", body = ErrorBody),
        (status = 415, description = "The body is not a form", body = ErrorBody),
        (status = 429, description = "The caller has reached its rate limit, or too many unknown tokens came from this address. The token was not revoked", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 500, description = "An internal error. Assume that the token still works", body = ErrorBody),
        (status = 503, description = "Tessera cannot reach its database. The token was not revoked", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds"))),
    ),
)]
pub(super) async fn revoke(
    State(state): State<AppState>,
    Revoker { context, credential, extensions }: Revoker,
    TokenForm(token): TokenForm,
) -> Result<Response, ApiError> {
    // The token itself needs no other proof, and does not use up its rate limit.
    let context = match credential.filter(|credential| *credential != token) {
        Some(other) => caller(&state, context, &other).await.map_err(ApiError::or_basic)?,
        None => context,
    };
    Asker::tell(&extensions, &context);
    state.rate_limit.count(&extensions, &context.actor)?;
    state.authority.tokens().revoke(&context, &token).await?;
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
}
