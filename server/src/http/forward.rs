//! `/auth/forward`: gateways call it with the caller's own headers to find out whether to let a
//! request pass.
//!
//! nginx (`auth_request`), Traefik (`ForwardAuth`) and Caddy (`forward_auth`) use GET; Envoy's HTTP
//! service keeps the caller's method. Therefore the response does not depend on the method, and a
//! body is never read.
//!
//! All gateways understand three responses: 2xx lets the request pass, and 401 and 403 are returned
//! to the caller. Every error in the *caller's* request is therefore 401 or 403, including two
//! different tokens (nginx would turn a 400 into a 500). 400 is for the gateway's own query: its
//! configuration is wrong, and a check that is not understood must not be skipped. 429 is for a
//! token that exceeds its rate limit, and for an address that presents too many unknown tokens. A
//! gateway that supports only 401 and 403 can request 403 instead.

mod query;

use authority::Facts;
use authority::{Decision, ServiceError, Surface};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing,
};
use domain::{
    catalogue::ScopeName,
    decision::DecisionCode,
    names::AudienceSlug,
    problem::{Problem, ProblemCode},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use utoipa::IntoParams;

pub(crate) use self::query::{Asked, asked};
use super::caller::anonymous;
use crate::{
    limits::rate::tell_token,
    problem::ApiError,
    request::credentials::{CredentialError, presented},
    state::AppState,
};

pub(crate) const PATH: &str = "/auth/forward";

const X_TESSERA_CODE: HeaderName = HeaderName::from_static("x-tessera-code");
const X_TESSERA_STALE: HeaderName = HeaderName::from_static("x-tessera-stale");
const X_TESSERA_TOKEN_ID: HeaderName = HeaderName::from_static("x-tessera-token-id");
const X_TESSERA_WORKSPACE: HeaderName = HeaderName::from_static("x-tessera-workspace");
const X_TESSERA_USER: HeaderName = HeaderName::from_static("x-tessera-user");
const X_TESSERA_USER_ID: HeaderName = HeaderName::from_static("x-tessera-user-id");
const X_TESSERA_SCOPES: HeaderName = HeaderName::from_static("x-tessera-scopes");

/// Gateways read the response headers into a buffer of one page (4 KiB in nginx) and fail if it
/// overflows. A longer list of scopes is left out.
const SCOPES_MAX: usize = 2_048;

/// Returns the route.
pub(crate) fn router() -> Router<AppState> {
    Router::new().route(PATH, routing::any(forward))
}

/// The requirements of the call.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the query, which is parsed pair by pair")]
pub(crate) struct ForwardQuery {
    /// The API that is called. Not checked when absent: always name it.
    #[param(value_type = Option<super::rest::schema::AudienceText>, example = "default")]
    audience: Option<String>,
    /// A scope that the call needs. May be repeated, or contain several scopes separated by spaces.
    /// At most 64.
    #[param(value_type = Option<Vec<super::rest::schema::ScopeText>>, max_items = 64, example = json!(["rivers:run"]))]
    scope: Vec<String>,
    /// The only workspace whose tokens are accepted.
    #[param(max_length = 127, pattern = r"^[a-z0-9][a-z0-9._-]*(@[a-z0-9][a-z0-9._-]*)?$")]
    workspace: Option<String>,
    /// The status for a token beyond its rate limit: 429 if absent, or 403 for a gateway that, like
    /// nginx, turns everything except 401 and 403 into 500.
    #[param(pattern = "^(403|429)$", example = "429")]
    rate_limited: Option<String>,
}

/// Check a request for a gateway
///
/// The gateway passes on the caller's headers with the token to check, and needs no token of its
/// own. 200 lets the request pass and identifies the caller to the API. The response does not
/// depend on the method, and a body is not read.
#[utoipa::path(
    get,
    path = "/auth/forward",
    operation_id = "forward",
    tag = "Verification",
    params(ForwardQuery),
    responses(
        (status = 200, description = "Let the request pass", headers(
            ("X-Tessera-Code" = String, description = "`VALID`"),
            ("X-Tessera-Token-Id" = String, description = "The token's ID"),
            ("X-Tessera-Workspace" = String, description = "The slug of the token's workspace"),
            ("X-Tessera-User" = String, description = "The e-mail address of the user that the token acts as. Characters other than visible ASCII, and `%`, are percent-encoded UTF-8"),
            ("X-Tessera-User-Id" = String, description = "The ID of that user"),
            ("X-Tessera-Scopes" = String, description = "The token's scopes for the requested audience and the scopes that they imply, separated by spaces. If the query names no audience, the scopes for all of the token's audiences. Omitted if longer than 2,048 bytes"),
            ("X-Tessera-Stale" = Option<u32>, description = "Present if the response comes from memory while the database is unreachable (setting `stale_grace`): the number of seconds for which the server has been unable to confirm that nothing was revoked"),
            ("RateLimit-Policy" = Option<String>, description = "For a token with a rate limit: `\"token\"` with its limit `q` and its window `w` in seconds"),
            ("RateLimit" = Option<String>, description = "For a token with a rate limit: `\"token\"` with the remaining uses `r`, and the seconds `t` until all uses are available again"),
        )),
        (status = 400, description = "The query is invalid: the gateway is misconfigured", content_type = "application/problem+json", body = super::rest::schema::ProblemBody),
        (status = 401, description = "No token, two different tokens, or a token that is not accepted. `X-Tessera-Code` contains the reason", content_type = "application/problem+json", body = super::rest::schema::ProblemBody),
        (status = 403, description = "The token lacks a scope, or may not be used from this address", content_type = "application/problem+json", body = super::rest::schema::ProblemBody),
        (status = 429, description = "The token has reached its rate limit, or too many unknown tokens came from this address. The status is 403 if the query requests it. `Retry-After` contains the time to wait", content_type = "application/problem+json", body = super::rest::schema::ProblemBody, headers(
            ("Retry-After" = u32, description = "Seconds"),
            ("RateLimit-Policy" = String, description = "`\"token\"` with its limit `q` and its window `w` in seconds"),
            ("RateLimit" = String, description = "`\"token\"` with the remaining uses `r`, which is 0, and the seconds `t` until the next use is available"),
        )),
        (status = 503, description = "Tessera cannot decide at the moment: do not let the request pass", content_type = "application/problem+json", body = super::rest::schema::ProblemBody),
    ),
)]
pub(crate) async fn forward(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let context = anonymous(&mut parts, &state, Surface::Forward).await;
    let mut asked = asked(parts.uri.query().unwrap_or_default())?;
    asked.demand.ip = context.client_ip;
    let token = presented(&parts.headers).map_err(refuse_credential)?.ok_or_else(|| {
        ApiError::new(
            ProblemCode::Unauthenticated,
            "Send a token: \"Authorization: Bearer TOKEN\".",
        )
    })?;
    match state.authority.verification().decide(&context, token, &asked.demand).await {
        Ok(decision) => Ok(answer(&decision, &asked)),
        Err(error @ ServiceError::TooManyUnknown(_)) => {
            let error = ApiError::from(error).under(asked.rate_limited);
            let code = HeaderValue::from_static(DecisionCode::RateLimited.as_str());
            Ok(([(X_TESSERA_CODE, code)], error).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the response, with the error that remains to be written, if any.
pub(crate) fn answer(decision: &Decision, asked: &Asked) -> Response {
    let mut response = match (decision.code, &decision.facts) {
        (DecisionCode::Valid, Some(facts)) => {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = allowed(facts, asked.demand.audience.as_ref());
            response
        }
        (code, _) => {
            let scopes: Vec<String> = asked.demand.scopes.iter().map(ToString::to_string).collect();
            let mut error = ApiError::decided(decision, &scopes);
            if code == DecisionCode::RateLimited {
                error = error.under(asked.rate_limited);
            }
            error.into_response()
        }
    };
    if let Some(rate) = &decision.rate {
        tell_token(response.headers_mut(), rate);
    }
    if let Some(stale) = decision.stale {
        response.headers_mut().insert(X_TESSERA_STALE, stale.as_secs().into());
    }
    let code = HeaderValue::from_static(decision.code.as_str());
    response.headers_mut().insert(X_TESSERA_CODE, code);
    response
}

/// The headers of a response for one audience, cached with the facts.
pub(crate) struct Allowed {
    audience: Option<AudienceSlug>,
    headers: HeaderMap,
}

impl Allowed {
    /// Returns the headers for these facts.
    pub(crate) fn of(facts: &Facts, audience: Option<&AudienceSlug>) -> Self {
        Self { audience: audience.cloned(), headers: allowed(facts, audience) }
    }

    /// Returns the headers for this audience: the cached ones if they are for it.
    pub(crate) fn headers(&self, facts: &Facts, audience: Option<&AudienceSlug>) -> HeaderMap {
        if self.audience.as_ref() == audience {
            self.headers.clone()
        } else {
            allowed(facts, audience)
        }
    }
}

/// Returns the headers of a response that lets a request pass.
fn allowed(facts: &Facts, audience: Option<&AudienceSlug>) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(8);
    let headers = &mut map;
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_TESSERA_CODE, HeaderValue::from_static(DecisionCode::Valid.as_str()));
    insert(headers, X_TESSERA_TOKEN_ID, &facts.token_id.to_string());
    insert(headers, X_TESSERA_WORKSPACE, facts.surroundings.workspace.as_ref());
    insert(headers, X_TESSERA_USER, &visible(&facts.surroundings.user.email));
    insert(headers, X_TESSERA_USER_ID, &facts.surroundings.user.id.to_string());
    // A scope of another API could be mistaken for one of the called API.
    let scopes = match audience {
        Some(audience) => words(facts.surroundings.granted_in(audience.as_ref())),
        None => words(facts.surroundings.all_granted()),
    };
    if let Some(scopes) = scopes {
        insert(headers, X_TESSERA_SCOPES, &scopes);
    }
    map
}

/// Returns the names, separated by spaces; `None` if they exceed the length of a header.
fn words<'a>(scopes: impl IntoIterator<Item = &'a ScopeName>) -> Option<String> {
    let mut words = String::new();
    for scope in scopes {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(scope.as_ref());
        if words.len() > SCOPES_MAX {
            return None;
        }
    }
    Some(words)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// Returns the text with `%` and everything except visible ASCII percent-encoded
/// (RFC 3986 section 2.1).
fn visible(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_graphic() && byte != b'%' {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

fn refuse_credential(error: CredentialError) -> ApiError {
    // Always 401, whatever the code means elsewhere: see the module's docs.
    Problem::new(ProblemCode::InvalidToken, error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unicode_address_is_percent_encoded() {
        assert_eq!(visible("ada@example.com"), "ada@example.com");
        assert_eq!(visible("é%@x"), "%C3%A9%25@x");
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_header_value(text in any::<String>()) {
            prop_assert!(HeaderValue::try_from(visible(&text)).is_ok());
        }
    }
}
