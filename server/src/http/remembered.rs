//! Verifications that are answered from memory, before the router and all of its layers.
//!
//! Services call `POST /api/v1/verify` and `/auth/forward` on every request of their own. This
//! module handles the common case: a known caller, a well-formed request, and facts that are cached
//! under a lease or can be. Everything else, including every error, takes the normal path through
//! the router. A response from memory is byte for byte the same as the router's, except for headers
//! that only browsers read.

use std::{
    borrow::Cow,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authority::Facts;
use authority::{Asked, Decision, Known, Presented, RateState, Recalled};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use domain::{
    decision::{DEMANDED_MAX, DecisionCode, Demand},
    names::{AudienceSlug, Slug},
};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header, request::Parts};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body as _, Incoming};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::Semaphore, time::timeout};
use uuid::{Builder, Uuid, fmt::Hyphenated};

use super::{
    forward,
    rest::{VERIFY_PATH, schema::VerificationBody, verification},
};
use crate::{
    limits::unread::is_piece,
    problem::Form,
    request::{
        client_ip::{FORWARDED_FOR, Peer, client_ip},
        credentials::{bearer, is_credential, presented},
        host::is_named,
        id::X_REQUEST_ID,
    },
    state::AppState,
};

/// The response from memory or from the router.
pub(crate) type Answer = http::Response<AnswerBody>;

/// The body of a response from memory or from the router.
pub(crate) type AnswerBody = Either<Full<Bytes>, Body>;

/// Maximum size of a request body that is read here, in bytes.
const QUESTION_MAX: u64 = 8_192;

/// How long to wait here for a body.
const SOON: Duration = Duration::from_secs(1);

/// The number of requests that may wait here for their bodies at the same time. They keep their
/// heads in memory meanwhile, so all others go to the router, where each caller has a limited
/// number of places.
static WAITING: Semaphore = Semaphore::const_new(256);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A verification request without copies of its texts.
type Question<'a> = verification::Question<&'a str>;

/// The parts of [`VerificationBody`]'s JSON for a valid token, around its ID and its expiry.
const BEFORE_ID: &[u8] = br#"{"valid":true,"code":"VALID","token_id":""#;
const BEFORE_END: &[u8] = br#","expires_at":"#;
const AFTER_END: &[u8] = br#","rate_limit":null}"#;
const NO_END: &[u8] = b"null";
/// The longest expiry looks like `"2027-08-18T12:00:00.123456Z"`.
const LONGEST_END: usize = 32;

/// Returns the response, or the unchanged request.
pub(crate) async fn answer(
    state: &AppState,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Answer, Request<Body>> {
    if !is_named(Some(peer), request.uri(), request.headers()) {
        return Err(request.map(Body::new));
    }
    match request.uri().path() {
        VERIFY_PATH if request.method() == Method::POST => verify(state, peer, request).await,
        // The method does not matter there, except that HEAD gets a different response.
        forward::PATH if request.method() != Method::HEAD => {
            let (parts, body) = request.into_parts();
            match decide(state, peer, &parts) {
                Some(answer) => Ok(answer),
                None => Err(Request::from_parts(parts, Body::new(body))),
            }
        }
        _ => Err(request.map(Body::new)),
    }
}

async fn verify(
    state: &AppState,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Result<Answer, Request<Body>> {
    let verification = state.authority.verification();
    // Read the body only for known callers.
    let is_short = request.body().size_hint().exact().is_some_and(|size| size <= QUESTION_MAX);
    let caller = if is_short {
        plain(request.uri(), request.headers()).and_then(|plain| verification.recall(plain.token))
    } else {
        None
    };
    let Some(caller) = caller else { return Err(request.map(Body::new)) };
    let bytes = match whole(request.body_mut(), &WAITING).await {
        Ok(bytes) => bytes,
        Err(first) => {
            return Err(request.map(|rest| Body::new(Resumed { first, rest })));
        }
    };
    let question = read(&bytes);
    if let Some(question) = &question {
        let ask = |learned| verified(state, peer, &request, &caller, question, learned);
        let mut answer = ask(false);
        if answer.is_none() {
            let ip = address(state, peer, request.headers());
            if verification.learn(&caller, question.token, ip, question.ip()).await {
                answer = ask(true);
            }
        }
        if let Some(answer) = answer {
            return Ok(answer);
        }
    }
    drop(question);
    Err(request.map(|_| Body::from(bytes)))
}

fn verified(
    state: &AppState,
    peer: Peer,
    request: &Request<Incoming>,
    caller: &Recalled,
    question: &Question<'_>,
    learned: bool,
) -> Option<Answer> {
    let plain = plain(request.uri(), request.headers())?;
    let agent = plain.agent.map(text);
    let ip = match peer {
        Peer::Network(address) if !plain.is_forwarded => Some(address.to_canonical()),
        _ => address(state, peer, request.headers()),
    };
    let at = Presented { now: state.authority.now(), ip, agent: agent.as_deref(), learned };
    let verification = state.authority.verification();
    let answer = verification.verify_remembered(caller, question.token, question, at)?;
    let body = if answer.code == DecisionCode::Valid && answer.rate.is_none() {
        valid(&answer.known)
    } else {
        json(&decision(answer.code, &answer.known, answer.rate)).into()
    };
    let body = if is_piece(body.len()) {
        Either::Left(Full::new(body))
    } else {
        Either::Right(state.answers.keep_whole(caller.workspace().0, body))
    };
    let mut response = http::Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(X_REQUEST_ID, request_id(at.now));
    Some(response)
}

fn decide(state: &AppState, peer: Peer, parts: &Parts) -> Option<Answer> {
    let token = presented(&parts.headers).ok()??;
    let mut asked = forward::asked(parts.uri.query().unwrap_or_default()).ok()?;
    let ip = address(state, peer, &parts.headers);
    asked.demand.ip = ip;
    let agent = parts.headers.get(header::USER_AGENT).map(text);
    let at = Presented { now: state.authority.now(), ip, agent: agent.as_deref(), learned: false };
    let verification = state.authority.verification();
    let answer = verification.decide_remembered(token, &asked.demand, at)?;
    let id = request_id(at.now);
    if answer.code == DecisionCode::Valid && answer.rate.is_none() {
        let mut response = http::Response::new(Either::Left(Full::default()));
        let audience = asked.demand.audience.as_ref();
        let allowed = answer.known.rendered(|facts| forward::Allowed::of(facts, audience))?;
        *response.headers_mut() = allowed.headers(&answer.known, audience);
        response.headers_mut().insert(X_REQUEST_ID, id);
        return Some(response);
    }
    let id = id.to_str().unwrap_or_default();
    let refused = forward::answer(&decision(answer.code, &answer.known, answer.rate), &asked);
    Some(routed(super::answer::complete(refused, id, Form::Problem)))
}

fn address(state: &AppState, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
    client_ip(Some(peer), headers, &state.trusted_proxies)
}

/// The head of a plain call.
struct Plain<'a> {
    token: &'a str,
    agent: Option<&'a HeaderValue>,
    /// Whether a proxy, or a client that pretends to be one, names the caller's address.
    is_forwarded: bool,
}

/// Parses a call whose only credential is one `Bearer` and whose body is JSON. Makes a single pass,
/// because each lookup of a header would cost as much.
fn plain<'a>(uri: &Uri, headers: &'a HeaderMap) -> Option<Plain<'a>> {
    let (mut token, mut form, mut agent) = (None, None, None);
    let mut is_forwarded = false;
    for (name, value) in headers {
        if name == header::AUTHORIZATION {
            if token.is_some() {
                return None;
            }
            token = Some(bearer(value)?.ok()?);
        } else if name == header::CONTENT_TYPE {
            if form.is_some() {
                return None;
            }
            form = Some(value);
        } else if name == header::USER_AGENT {
            agent = agent.or(Some(value));
        } else if name == header::COOKIE || name == header::EXPECT || is_credential(name) {
            return None;
        } else {
            is_forwarded |= *name == FORWARDED_FOR;
        }
    }
    let token = token.filter(|_| form == Some(&JSON) && uri.query().is_none())?;
    Some(Plain { token, agent, is_forwarded })
}

/// Parses a request that is an object: serde would also accept an array of its fields.
fn read(body: &[u8]) -> Option<Question<'_>> {
    let question: Question<'_> =
        body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok())??;
    (question.scopes.len() <= DEMANDED_MAX).then_some(question)
}

/// Returns a body that arrives soon and in one piece, as small ones do; otherwise the part that has
/// arrived. The router handles slow bodies.
async fn whole<B: hyper::body::Body<Data = Bytes> + Unpin>(
    body: &mut B,
    waiting: &Semaphore,
) -> Result<Bytes, Option<Bytes>> {
    // Most bodies are already there, and checking is cheaper than a timer.
    let frame = if let Some(frame) = body.frame().now_or_never() {
        frame
    } else {
        let _place = waiting.try_acquire().map_err(|_| None)?;
        timeout(SOON, body.frame()).await.map_err(|_| None)?
    };
    match frame {
        Some(Ok(frame)) => match frame.into_data() {
            Ok(first) if body.is_end_stream() => Ok(first),
            Ok(first) => Err(Some(first)),
            Err(_) => Err(None),
        },
        _ => Err(None),
    }
}

/// A body whose first piece has already been read.
struct Resumed {
    first: Option<Bytes>,
    rest: Incoming,
}

impl hyper::body::Body for Resumed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        match self.first.take() {
            Some(first) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

impl Asked for Question<'_> {
    fn is_plainly_met(&self, facts: &Facts, now: OffsetDateTime) -> bool {
        let Self { token: _, audience, scopes, ip, workspace } = self;
        // Rare demands are left to the normal path.
        ip.is_none()
            && workspace.is_none()
            && facts.has_by_name(*audience, scopes)
            && facts.decide(&Demand::default(), now) == DecisionCode::Valid
    }

    fn demand(&self) -> Option<Cow<'_, Demand>> {
        let audience: Option<AudienceSlug> = self.audience.map(str::parse).transpose().ok()?;
        let workspace: Option<Slug> = self.workspace.map(str::parse).transpose().ok()?;
        let ip: Option<IpAddr> = self.ip.map(str::parse).transpose().ok()?;
        let scopes =
            self.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>().ok()?;
        Some(Cow::Owned(Demand { audience, workspace, scopes, ip }))
    }

    fn ip(&self) -> Option<IpAddr> {
        self.ip.and_then(|ip| ip.parse().ok())
    }
}

fn json(decision: &Decision) -> Vec<u8> {
    // The body has only texts, numbers and lists: serializing it cannot fail.
    serde_json::to_vec(&VerificationBody::of(decision)).unwrap_or_default()
}

/// Returns the response for a token that may do what is requested and has no rate limit.
fn valid(known: &Arc<Known>) -> Bytes {
    composed(known).unwrap_or_else(|| json(&decision(DecisionCode::Valid, known, None))).into()
}

/// Composes the response. Everything except the token's ID and its expiry is the same for many
/// tokens: that part is rendered once and cached with the surroundings that they share.
fn composed(known: &Arc<Known>) -> Option<Vec<u8>> {
    let common = known.surroundings.rendered.get_or(|| {
        let mut whole = json(&decision(DecisionCode::Valid, known, None));
        // Take the last match: an audience may also be called `expires_at`, and comes earlier.
        let end = whole.windows(BEFORE_END.len()).rposition(|some| some == BEFORE_END);
        whole.truncate(end.map_or(0, |at| at + BEFORE_END.len()));
        whole
    });
    let id = BEFORE_ID.len()..BEFORE_ID.len() + Hyphenated::LENGTH;
    let end = if known.expires_at.is_some() { LONGEST_END } else { NO_END.len() };
    let mut answer = Vec::with_capacity(common.len() + end + AFTER_END.len());
    answer.extend_from_slice(common);
    known.token_id.0.hyphenated().encode_lower(answer.get_mut(id)?);
    match known.expires_at {
        None => answer.extend_from_slice(NO_END),
        Some(end) => {
            answer.push(b'"');
            end.format_into(&mut answer, &Rfc3339).ok()?;
            answer.push(b'"');
        }
    }
    answer.extend_from_slice(AFTER_END);
    Some(answer)
}

fn decision(code: DecisionCode, known: &Arc<Known>, rate: Option<RateState>) -> Decision {
    Decision { code, facts: Some(Arc::clone(known)), stale: None, rate }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Returns a request ID, a UUID version 7 like all others, but with a counter instead of
/// randomness, which is not needed here.
fn request_id(now: OffsetDateTime) -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    /// Distinguishes the IDs of this server from those of other servers.
    static OWN: LazyLock<[u8; 8]> = LazyLock::new(|| RandomState::new().hash_one(0).to_be_bytes());
    let milliseconds = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [_, high, rest @ ..] = count;
    let own = *OWN;
    let id: Uuid = Builder::from_unix_timestamp_millis(
        milliseconds,
        &[own[0], own[1], own[2], own[3], high, rest[1], rest[2], rest[3], rest[4], rest[5]],
    )
    .into_uuid();
    let mut text = [0; 36];
    id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
}

/// Returns a response of the router in the form that the connection sends.
pub(crate) fn routed(response: Response) -> Answer {
    response.map(Either::Right)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body that never arrives.
    struct Silent;

    impl hyper::body::Body for Silent {
        type Data = Bytes;
        type Error = hyper::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_missing_bodies_are_few_and_short() {
        let waiting = Semaphore::new(1);
        let (mut first, mut second) = (Silent, Silent);
        let mut waits = Box::pin(whole(&mut first, &waiting));
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!(whole(&mut second, &waiting).now_or_never(), Some(Err(None)));
        assert_eq!(waits.await, Err(None));
        assert!(whole(&mut second, &waiting).now_or_never().is_none());
        // A body that has already arrived needs no place.
        let mut there = Full::new(Bytes::from_static(b"{}"));
        let _last = waiting.acquire().await;
        assert_eq!(whole(&mut there, &waiting).await, Ok(Bytes::from_static(b"{}")));
    }
}
