//! Errors for programs: a [`Problem`] as `application/problem+json` (RFC 9457).

use std::sync::Arc;

use authority::{Decision, ServiceError};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use domain::{
    decision::DecisionCode,
    problem::{FieldError, Problem, ProblemCode},
};
use http::{HeaderValue, StatusCode, header};

/// A response that is an error.
///
/// `answer::finish` adds the request's ID, which is not available here, and logs the cause.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    problem: Problem,
    challenge: Option<Challenge>,
    cause: Option<Arc<ServiceError>>,
    /// Whether the request was sent to a name that is not this server's.
    of_host: bool,
}

/// The format of an error.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// For programs.
    Problem,
    /// For people whose browser opened the console.
    Page,
    /// The response to HEAD.
    Head,
    /// For clients of another product.
    Envelope(Envelope),
}

/// Converts an error to another product's format: the status, and the JSON body.
///
/// A surface's outermost layer puts it into the response's extensions (`surfaces::speak`).
pub(crate) type Envelope = fn(&Problem) -> (StatusCode, serde_json::Value);

/// The value of `WWW-Authenticate` (RFC 6750 section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Challenge {
    error: Option<&'static str>,
    scope: Option<String>,
    /// Whether a token is also accepted as the password of HTTP Basic (RFC 7617).
    basic: bool,
}

impl ApiError {
    /// Returns a problem with this code. `detail` is a whole sentence.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// Returns the error for invalid values.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        ServiceError::Invalid(errors).into()
    }

    /// Returns the error for a credential that cannot be parsed (RFC 6750
    /// section 3.1, `invalid_request`).
    pub(crate) fn unreadable_credential(detail: &str) -> Self {
        let mut error = Self::new(ProblemCode::MalformedRequest, detail);
        error.0.challenge =
            Some(Challenge { error: Some("invalid_request"), ..Challenge::default() });
        error
    }

    /// Returns the error for a token that was refused with this code. `scopes` are the scopes that
    /// it would need.
    pub(crate) fn refused(code: DecisionCode, scopes: &[String]) -> Self {
        let (problem, detail) = match code {
            DecisionCode::Malformed => (
                ProblemCode::InvalidToken,
                "This is not a Tessera token: it was mistyped, truncated or issued by another \
                 system.",
            ),
            DecisionCode::Valid | DecisionCode::NotFound => {
                (ProblemCode::InvalidToken, "The token doesn't exist.")
            }
            DecisionCode::Disabled => (ProblemCode::InvalidToken, "The token is disabled."),
            DecisionCode::Expired => (ProblemCode::InvalidToken, "The token has expired."),
            DecisionCode::Revoked => (ProblemCode::InvalidToken, "The token was deleted."),
            DecisionCode::NotYetValid => (ProblemCode::InvalidToken, "The token is not valid yet."),
            DecisionCode::AudienceMismatch => {
                (ProblemCode::InvalidToken, "The token is not valid for this API.")
            }
            DecisionCode::OwnerDisabled => (
                ProblemCode::InvalidToken,
                "The user that the token acts as is disabled or has left the workspace.",
            ),
            DecisionCode::IpDenied => {
                (ProblemCode::Forbidden, "The token may not be used from this address.")
            }
            DecisionCode::RateLimited => {
                (ProblemCode::RateLimited, "The token has reached its rate limit.")
            }
            DecisionCode::InsufficientScope => {
                (ProblemCode::InsufficientScope, "The token lacks a scope that this call requires.")
            }
        };
        let mut error = Self::new(problem, detail);
        if code == DecisionCode::InsufficientScope
            && let Some(challenge) = &mut error.0.challenge
        {
            challenge.scope = Some(scopes.join(" "));
        }
        error
    }

    /// Returns the error for a token that this decision refuses, with the state of its rate limit.
    pub(crate) fn decided(decision: &Decision, scopes: &[String]) -> Self {
        let mut error = Self::refused(decision.code, scopes);
        if let Some(rate) = decision.rate.filter(|rate| !rate.allowed) {
            error.0.problem.retry_after_s = Some(rate.retry_after_s.into());
            error.0.problem.detail = format!(
                "The token has reached its limit of {} uses in {} s. Try again in {} s.",
                rate.limit, rate.window_s, rate.retry_after_s
            );
        }
        error
    }

    /// Adds a challenge for HTTP Basic, for routes that also accept a token as its password.
    pub(crate) fn or_basic(mut self) -> Self {
        if let Some(challenge) = &mut self.0.challenge {
            challenge.basic = true;
        }
        self
    }

    /// Marks the error as caused by a request to a name that is not this server's.
    pub(crate) fn of_host(mut self) -> Self {
        self.0.of_host = true;
        self
    }

    /// Whether the request was sent to a name that is not this server's.
    pub(crate) fn is_of_host(&self) -> bool {
        self.0.of_host
    }

    /// Returns the same problem with another status, for clients that do not understand its own.
    pub(crate) fn under(mut self, status: StatusCode) -> Self {
        self.0.problem.status = status.as_u16();
        self
    }

    /// Returns the stable code.
    pub(crate) fn code(&self) -> ProblemCode {
        self.0.problem.code
    }

    /// Whether a service refused the request, and not a layer or the router.
    pub(crate) fn by_service(&self) -> bool {
        self.0.cause.is_some()
    }

    /// Returns the problem that is sent.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// Returns the complete response, with the request's ID. Logs the details that the caller must
    /// not see.
    pub(crate) fn finish(mut self, request_id: &str, form: Form) -> Response {
        if let Some(cause) = &self.0.cause {
            cause.log(request_id);
        }
        self.0.problem.request_id = Some(request_id.to_owned());
        match form {
            Form::Problem => self.response(self.body()),
            Form::Head => self.response(Body::empty()),
            Form::Envelope(envelope) => {
                let (status, body) = envelope(&self.0.problem);
                let mut response = self.response(Body::from(body.to_string()));
                *response.status_mut() = status;
                let kind = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Form::Page => {
                let mut response = self.response(Body::from(page(&self.0.problem)));
                let kind = HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
        }
    }

    fn body(&self) -> Body {
        // The problem has only strings and numbers: serializing it cannot fail. An empty body would
        // still carry its status.
        Body::from(serde_json::to_vec(&self.0.problem).unwrap_or_default())
    }

    fn response(&self, body: Body) -> Response {
        let problem = &self.0.problem;
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(value) = self.0.challenge.as_ref().and_then(Challenge::header) {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

impl Challenge {
    /// Returns the challenge for a code. Without a credential in the request, it names no error
    /// (RFC 6750 section 3.1).
    fn of(code: ProblemCode) -> Option<Self> {
        let error = match code {
            ProblemCode::Unauthenticated => None,
            ProblemCode::InvalidToken => Some("invalid_token"),
            ProblemCode::InsufficientScope => Some("insufficient_scope"),
            ProblemCode::MultipleCredentials => Some("invalid_request"),
            _ => return None,
        };
        Some(Self { error, ..Self::default() })
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut parts = vec!["Bearer realm=\"tessera\"".to_owned()];
        parts.extend(self.error.map(|error| format!("error=\"{error}\"")));
        let scope = self.scope.as_deref().filter(|scope| !scope.is_empty());
        parts.extend(scope.map(|scope| format!("scope=\"{scope}\"")));
        if self.basic {
            parts.push("Basic realm=\"tessera\", charset=\"UTF-8\"".to_owned());
        }
        let text = parts.join(", ");
        HeaderValue::try_from(text).ok()
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let challenge = Challenge::of(problem.code);
        Self(Box::new(Parts { problem, challenge, cause: None, of_host: false }))
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let mut answer = Self::from(error.problem());
        if let (ServiceError::InsufficientScope(scope), Some(challenge)) =
            (&error, &mut answer.0.challenge)
        {
            challenge.scope = Some((*scope).to_owned());
        }
        answer.0.cause = Some(Arc::new(error));
        answer
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.response(self.body());
        response.extensions_mut().insert(self);
        response
    }
}

/// Returns a page for an error of a layer, where the console cannot render its own pages.
fn page(problem: &Problem) -> String {
    let title = escape(&problem.title);
    let detail = escape(&problem.detail);
    let request_id = escape(problem.request_id.as_deref().unwrap_or_default());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title} · Tessera</title></head>\n\
         <body><main><h1>{title}</h1><p>{detail}</p><p><a href=\"/\">Go to the console</a></p>\
         <p>Request {request_id}</p></main></body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns the error for a path that the API does not have.
pub(crate) async fn not_found() -> ApiError {
    ApiError::new(ProblemCode::NotFound, "The API has no such path. See /api/docs for all paths.")
}

/// Returns the error for a method that the resource does not have. The router adds `Allow`.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::new(
        ProblemCode::MethodNotAllowed,
        "This resource does not support this method. The Allow header lists the methods that it \
         supports.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(error: ApiError) -> Option<String> {
        let response = error.into_response();
        let value = response.headers().get(header::WWW_AUTHENTICATE)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn challenge_follows_rfc_6750() {
        for (error, expected) in [
            (ServiceError::Unauthenticated.into(), Some("Bearer realm=\"tessera\"")),
            (
                ApiError::refused(DecisionCode::Expired, &[]),
                Some("Bearer realm=\"tessera\", error=\"invalid_token\""),
            ),
            (
                ApiError::refused(DecisionCode::InsufficientScope, &["a:b".into(), "c".into()]),
                Some("Bearer realm=\"tessera\", error=\"insufficient_scope\", scope=\"a:b c\""),
            ),
            (
                ServiceError::InsufficientScope("tokens:write").into(),
                Some(
                    "Bearer realm=\"tessera\", error=\"insufficient_scope\", scope=\"tokens:write\"",
                ),
            ),
            (
                ApiError::unreadable_credential("x"),
                Some("Bearer realm=\"tessera\", error=\"invalid_request\""),
            ),
            (ServiceError::Forbidden("x").into(), None),
            (ServiceError::NotFound("token").into(), None),
        ] {
            assert_eq!(challenge(error).as_deref(), expected);
        }
    }

    #[test]
    fn too_many_attempts_response_has_retry_after() {
        let response = ApiError::from(ServiceError::TooManyAttempts(90)).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "90");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn refusal_status_follows_its_decision_code() {
        for code in [
            DecisionCode::NotFound,
            DecisionCode::Malformed,
            DecisionCode::Disabled,
            DecisionCode::Expired,
            DecisionCode::Revoked,
            DecisionCode::NotYetValid,
            DecisionCode::AudienceMismatch,
            DecisionCode::InsufficientScope,
            DecisionCode::IpDenied,
            DecisionCode::OwnerDisabled,
            DecisionCode::RateLimited,
        ] {
            let status = match code {
                DecisionCode::RateLimited => 429,
                code if code.is_forbidden() => 403,
                _ => 401,
            };
            assert_eq!(ApiError::refused(code, &[]).problem().status, status, "{code:?}");
        }
    }
}
