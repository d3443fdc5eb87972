//! Verifications that can be answered from memory, before the router and all of its layers.
//!
//! `POST /api/v1/verify` and `/auth/forward` are asked on every request of somebody else's. What is
//! usual is answered here: a known caller, a well-formed question, facts that are kept under a lease.
//! Everything else, every mistake among it, goes the way of all requests and is answered there. What is
//! answered here is byte for byte what it would be there, but for headers that only browsers read.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use authority::{Authority, Decision, Known, Presented, Remembered};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use domain::{
    decision::{DecisionCode, Demand},
    names::{AudienceSlug, Slug},
};
use http::{HeaderMap, HeaderValue, Method, Request, header, request::Parts};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body as _, Incoming};
use serde::Deserialize;
use uuid::{Builder, Uuid};

use super::{
    AppState,
    answer::X_REQUEST_ID,
    client_ip::{Peer, client_ip},
    credentials::presented,
    forward,
    problem::Form,
    rest::{VERIFY_PATH, schema::VerificationBody},
};

/// The answer of whichever way.
pub(crate) type Answer = http::Response<AnswerBody>;

/// The body of an answer from memory, or of the router's.
pub(crate) type AnswerBody = Either<Full<Bytes>, Body>;

/// Longest question that is read here, in bytes.
const QUESTION_MAX: u64 = 8_192;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What is made of a token's facts once, to answer with: each when it is first asked for.
#[derive(Default)]
struct Rendered {
    json: OnceLock<Bytes>,
    headers: OnceLock<HeaderMap>,
}

/// A question as [`super::rest`] reads it, without a copy of its texts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    token: &'a str,
    #[serde(default)]
    audience: Option<&'a str>,
    #[serde(default, borrow)]
    scopes: Vec<&'a str>,
    #[serde(default)]
    ip: Option<&'a str>,
    #[serde(default)]
    workspace: Option<&'a str>,
}

/// The answer, or the request as it was.
pub(crate) async fn answer(
    state: &AppState,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Answer, Request<Body>> {
    match request.uri().path() {
        VERIFY_PATH if request.method() == Method::POST => verify(state, peer, request).await,
        // Any method means the same there; only HEAD is answered otherwise.
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
    request: Request<Incoming>,
) -> Result<Answer, Request<Body>> {
    let (parts, body) = request.into_parts();
    let verification = state.authority.verification();
    // Only for whom the body is worth waiting for.
    let caller =
        if is_plain(&parts) && body.size_hint().exact().is_some_and(|size| size <= QUESTION_MAX) {
            presented(&parts.headers).ok().flatten().and_then(|token| verification.recall(token))
        } else {
            None
        };
    let Some(caller) = caller else { return Err(Request::from_parts(parts, Body::new(body))) };
    let bytes = match whole(body).await {
        Ok(bytes) => bytes,
        Err(body) => return Err(Request::from_parts(parts, body)),
    };
    let answered = || {
        let question: Question<'_> = serde_json::from_slice(&bytes).ok()?;
        let demand = question.demand()?;
        let agent = agent(&parts.headers);
        let at = Presented {
            now: state.authority.now(),
            ip: client_ip(Some(peer), &parts.headers, &state.trusted_proxies),
            agent: agent.as_ref(),
        };
        let answer = verification.verify_remembered(&caller, question.token, &demand, at)?;
        let body = if answer.code == DecisionCode::Valid && answer.rate.is_none() {
            let rendered = rendered(&answer.known)?;
            rendered.json.get_or_init(|| json(&decision(&answer))).clone()
        } else {
            json(&decision(&answer))
        };
        let mut response = http::Response::new(Either::Left(Full::new(body)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert(X_REQUEST_ID, request_id(&state.authority));
        Some(response)
    };
    answered().ok_or_else(|| Request::from_parts(parts.clone(), Body::from(bytes.clone())))
}

fn decide(state: &AppState, peer: Peer, parts: &Parts) -> Option<Answer> {
    let token = presented(&parts.headers).ok()??;
    let mut asked = forward::asked(parts.uri.query().unwrap_or_default()).ok()?;
    let ip = client_ip(Some(peer), &parts.headers, &state.trusted_proxies);
    asked.demand.ip = ip;
    let agent = agent(&parts.headers);
    let at = Presented { now: state.authority.now(), ip, agent: agent.as_ref() };
    let verification = state.authority.verification();
    let answer = verification.decide_remembered(token, &asked.demand, at)?;
    let id = request_id(&state.authority);
    if answer.code == DecisionCode::Valid && answer.rate.is_none() {
        let mut response = http::Response::new(Either::Left(Full::default()));
        let headers = &rendered(&answer.known)?.headers;
        *response.headers_mut() =
            headers.get_or_init(|| forward::allowed(answer.known.facts())).clone();
        response.headers_mut().insert(X_REQUEST_ID, id);
        return Some(response);
    }
    let id = id.to_str().unwrap_or_default();
    let refused = forward::answer(&decision(&answer), &asked);
    Some(routed(super::answer::complete(refused, id, Form::Problem)))
}

/// A call that nothing but its token speaks for, and whose body is JSON.
fn is_plain(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == JSON);
    json && parts.uri.query().is_none()
        && !headers.contains_key(header::COOKIE)
        && !headers.contains_key(header::EXPECT)
}

/// A body that comes in one piece, as small ones do; any other as it is.
async fn whole(mut body: Incoming) -> Result<Bytes, Body> {
    match body.frame().await {
        Some(Ok(frame)) => match frame.into_data() {
            Ok(first) if body.is_end_stream() => Ok(first),
            Ok(first) => Err(Body::new(Resumed { first: Some(first), rest: body })),
            Err(_) => Err(Body::empty()),
        },
        _ => Err(Body::empty()),
    }
}

/// A body whose first piece was read already.
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

impl Question<'_> {
    /// What is asked; `None` when a part of it is not understood, which the other way explains.
    fn demand(&self) -> Option<Demand> {
        let audience: Option<AudienceSlug> = self.audience.map(str::parse).transpose().ok()?;
        let workspace: Option<Slug> = self.workspace.map(str::parse).transpose().ok()?;
        let ip: Option<IpAddr> = self.ip.map(str::parse).transpose().ok()?;
        let scopes =
            self.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>().ok()?;
        Some(Demand { audience, workspace, scopes, ip })
    }
}

fn rendered(known: &Known) -> Option<&Rendered> {
    known.rendered(|_| Rendered::default())
}

fn json(decision: &Decision) -> Bytes {
    // Made of texts, numbers and lists: it can always be written.
    serde_json::to_vec(&VerificationBody::of(decision)).unwrap_or_default().into()
}

fn decision(answer: &Remembered) -> Decision {
    let facts = Some(Arc::clone(answer.known.facts()));
    Decision { code: answer.code, facts, stale: None, rate: answer.rate }
}

fn agent(headers: &HeaderMap) -> Option<Arc<str>> {
    headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into())
}

/// A request's id, as all have one: UUID version 7, here of a count instead of randomness, which
/// nothing here needs.
fn request_id(authority: &Authority) -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    /// Tells this server's from others'.
    static OWN: LazyLock<[u8; 8]> = LazyLock::new(|| RandomState::new().hash_one(0).to_be_bytes());
    let now = authority.now();
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

/// A response of the router, as the connection sends it.
pub(crate) fn routed(response: Response) -> Answer {
    response.map(Either::Right)
}
