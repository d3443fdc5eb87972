//! Records with their versions: `ETag` (RFC 9110 section 8.8.3).

use authority::MintedToken;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use domain::token::Token;
use http::{HeaderValue, header};
use serde::Serialize;

use super::schema::{MintedBody, TokenBody};
use crate::http::idempotency::SecretOf;

/// A record with its version as `ETag`. The response is `no-store`, because it may hold a secret
/// and is specific to the caller.
pub(crate) struct Tagged<T> {
    pub(crate) version: i64,
    pub(crate) body: T,
}

impl From<Token> for Tagged<TokenBody> {
    fn from(token: Token) -> Self {
        Self { version: token.version, body: token.into() }
    }
}

impl From<MintedToken> for Tagged<MintedBody> {
    fn from(minted: MintedToken) -> Self {
        Self { version: minted.token.version, body: minted.into() }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", self.version)) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// A created or rotated token, with its secret.
pub(crate) struct Minted(pub(crate) MintedToken);

impl IntoResponse for Minted {
    fn into_response(self) -> Response {
        let secret_of = SecretOf(self.0.token.id);
        let mut response = Tagged::<MintedBody>::from(self.0).into_response();
        response.extensions_mut().insert(secret_of);
        response
    }
}
