//! Repeatable requests: `Idempotency-Key`.
//!
//! A handler that creates something takes [`Repeatable`] and passes its work to it:
//!
//! ```ignore
//! let (authority, of) = (state.authority.clone(), context.clone());
//! repeatable.once(&authority, &of, Purpose::Token(id), |operation| rotate(state, id, operation)).await
//! ```
//!
//! The caller's right to do the work is checked first, by its [`Purpose`]. The extractor of the
//! body comes after [`Repeatable`]. Without the header, the work is done as usual. With it, the
//! first request does the work, and the others get its response with `Idempotency-Replayed: true`.
//! While the work is in progress they get 409, and 422 if they ask for something else. Only
//! outcomes of the work are kept, and responses 401, 403, 404, 408, 409, 412, 429 and 5xx are not
//! outcomes ([`is_outcome`]): the next attempt may succeed. The work continues if its caller
//! disconnects, so that a repeated request finds the response.

use authority::{Attempt, Authority, Claim, Holder, KeptReply, OpContext, Purpose, Surface};
use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use domain::{
    ids::TokenId,
    problem::{Problem, ProblemCode},
};
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use http_body_util::BodyExt as _;
use tracing::Instrument as _;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{body::Received, caller::anonymous};
use crate::{problem::ApiError, request::credentials::presented, state::AppState};

/// The header that names an attempt.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks a replayed response.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// [`Repeatable`] in the description of an operation.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documents the header, which Repeatable parses")]
pub(crate) struct IdempotencyKeyHeader {
    /// A text of your choice that names this attempt: 1 to 255 visible characters of ASCII, such as
    /// a UUID
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        pattern = "^[!-~]{1,255}$",
        example = "0198c2c4-7a00-7000-8000-0000000000aa"
    )]
    idempotency_key: Option<String>,
}

/// Marks a response that contains the secret of this token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecretOf(pub(crate) TokenId);

/// A request that its caller may repeat if it has a key.
pub(crate) struct Repeatable(Option<Named>);

struct Named {
    key: String,
    method: String,
    path: String,
    body: Received,
}

impl<S: Sync> FromRequestParts<S> for Repeatable {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        let key = key.to_str().ok().filter(|_| keys.next().is_none()).ok_or_else(|| {
            ApiError::new(
                ProblemCode::MalformedRequest,
                "Send the Idempotency-Key header once, with 1 to 255 visible ASCII characters.",
            )
        })?;
        Ok(Self(Some(Named {
            key: key.to_owned(),
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            body: parts.extensions.get::<Received>().cloned().unwrap_or_default(),
        })))
    }
}

impl Repeatable {
    /// Returns the response to the rotation that replaced the presented secret, if this is the
    /// same request.
    pub(crate) async fn lost_rotation(
        &self,
        state: &AppState,
        parts: &mut Parts,
    ) -> Result<Option<Response>, ApiError> {
        let (Some(named), Ok(Some(presented))) = (&self.0, presented(&parts.headers)) else {
            return Ok(None);
        };
        let presented = presented.to_owned();
        let context = anonymous(parts, state, Surface::Rest).await;
        let body = named.body.bytes();
        let request = (named.method.as_str(), named.path.as_str(), body.as_ref());
        let idempotency = state.authority.idempotency();
        match idempotency.lost_rotation(&context, &presented, &named.key, request).await? {
            None => Ok(None),
            Some((actor, reply)) => {
                state.rate_limit.count(&parts.extensions, &actor)?;
                Ok(Some(replayed(reply)))
            }
        }
    }

    /// Whether the request has a key.
    pub(crate) const fn is_named(&self) -> bool {
        self.0.is_some()
    }

    /// Does the work, unless it has been done before. `work` gets an ID that is the same for every
    /// attempt, even after a server crash; `None` without the header.
    pub(crate) async fn once<F, R>(
        self,
        authority: &Authority,
        context: &OpContext,
        purpose: Purpose<'_>,
        work: impl FnOnce(Option<Uuid>) -> F,
    ) -> Result<Response, ApiError>
    where
        F: Future<Output = Result<R, ApiError>> + Send + 'static,
        R: IntoResponse,
    {
        let Some(named) = self.0 else { return Ok(work(None).await?.into_response()) };
        let body = named.body.bytes();
        let request = (named.method.as_str(), named.path.as_str(), body.as_ref());
        let claim = authority.idempotency().claim(context, purpose, &named.key, request).await?;
        let attempt = match claim {
            Claim::First(attempt) => attempt,
            Claim::Repeated(reply) => return Ok(replayed(reply)),
        };
        let authority = authority.clone();
        let request_id = context.request_id.clone();
        let work = work(Some(attempt.operation()));
        let done =
            async move { keep(&authority, &request_id, attempt, work.await.into_response()).await };
        match tokio::spawn(Holder::current().scope(done.in_current_span())).await {
            Ok(response) => Ok(response),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The server is shutting down.
                Err(_) => Err(ApiError::new(
                    ProblemCode::Unavailable,
                    "Tessera is shutting down. Send the request again.",
                )),
            },
        }
    }
}

/// Stores the response of an attempt, or releases the attempt.
async fn keep(
    authority: &Authority,
    request_id: &str,
    attempt: Attempt,
    response: Response,
) -> Response {
    let idempotency = authority.idempotency();
    let status = response.status();
    let (parts, body) = response.into_parts();
    // The handler built the body in memory: collecting it cannot fail.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let outcome = if is_outcome(status) {
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        let secret_of = parts.extensions.get().map(|SecretOf(token)| *token);
        let reply = KeptReply { status: status.as_u16(), headers, body: body.to_vec(), secret_of };
        idempotency.keep(&attempt, &reply).await
    } else {
        idempotency.release(&attempt).await
    };
    if let Err(error) = outcome {
        // The work is done, and its caller must learn the outcome. A repeated request gets
        // 409 and must wait.
        error.log(request_id);
    }
    Response::from_parts(parts, Body::from(body))
}

/// Whether a response is an outcome of the work. All others refuse a request without doing
/// anything; it may succeed a moment later.
fn is_outcome(status: StatusCode) -> bool {
    let refused = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        // 404 also hides things from callers who may not see them yet, for example because they are
        // not members.
        StatusCode::NOT_FOUND,
        StatusCode::REQUEST_TIMEOUT,
        // The obstacle may go away: a limit, a name that is taken, another version.
        StatusCode::CONFLICT,
        StatusCode::PRECONDITION_FAILED,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    !(status.is_server_error() || refused.contains(&status))
}

fn replayed(reply: KeptReply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A problem carries the ID of the request that it responds to.
    let problem = (status.is_client_error())
        .then(|| serde_json::from_slice::<Problem>(&reply.body).ok())
        .flatten();
    let mut response = match problem {
        Some(problem) => ApiError::from(problem).into_response(),
        None => Response::new(Body::from(reply.body)),
    };
    *response.status_mut() = status;
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value))
        {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use domain::problem::ProblemCode;

    use super::*;

    #[test]
    fn only_outcomes_are_stored() {
        let kept = |status: u16| is_outcome(StatusCode::from_u16(status).unwrap());
        assert!([200, 201, 204].into_iter().all(kept));
        for code in ProblemCode::ALL {
            let expected = matches!(code.status(), 400 | 405 | 413..=415 | 422 | 431);
            assert_eq!(kept(code.status()), expected, "{code:?}");
        }
    }
}
