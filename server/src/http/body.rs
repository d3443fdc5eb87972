//! Limits on request bodies: their size, the time they may take, and how many may be in flight.
//!
//! No layer reads a body into memory. The extractor that needs it does, after the caller is
//! authenticated: [`Readers::Known`] refuses unauthenticated callers before it reads a byte. A body
//! that an unauthenticated client may send, such as the form of a sign-in, has at most 16 KiB. A
//! file is received only for callers who may import it ([`read_file`]). Every byte held counts
//! ([`Bodies`]) until the last copy of it is dropped. A body that only waits for its peer is
//! dropped if another needs its room. A caller whose body took time to arrive is authenticated
//! again once it is complete.
//!
//! [`receive`] lends each handler its request's body, and discards the part that the handler has
//! not read: a response before the end of the request costs an HTTP/1.1 client its connection, and
//! some HTTP/2 clients never show such a response.

use std::{
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use authority::{Actor, OpContext, ServiceError};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{Extensions, HeaderMap, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::timeout;
use uuid::Uuid;

use super::{again::Again, holders};
use crate::{
    limits::{
        awaited::Awaited,
        bodies::{self, Bodies, Kept, Kind},
        strangers,
    },
    problem::ApiError,
    request::client_ip::{client_ip, peer},
    state::AppState,
};

/// Maximum size of a body in bytes. The longest list of scopes that the service accepts
/// fits easily.
pub(crate) const LIMIT: usize = 64 * 1024;
/// Maximum size of a file of tokens to import, in bytes.
const FILE_LIMIT: usize = 1024 * 1024;
/// Maximum size of a body from an unauthenticated client, in bytes.
pub(crate) const STRANGERS_LIMIT: usize = 16 * 1024;
/// Maximum time for a body to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum time for a handler, including its body.
const HANDLER: Duration = Duration::from_secs(40);
/// The most bytes of an unread body that are read and discarded over HTTP/1.1. Clients that read
/// the response only after sending everything then see the response instead of a reset connection.
const DRAIN: usize = 16 * 1024 * 1024;
/// The same over HTTP/2. Its clients receive the response before they have sent everything
/// (RFC 9113 section 8.1), but not every program shows it. Therefore every body whose size is legal
/// for some route is read to its end.
const DRAIN_STREAM: usize = 1024 * 1024 + 64 * 1024;
/// How long discarding an unread body may delay the response.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The callers whose bodies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Only authenticated callers.
    Known,
    /// All callers, because the credential is in the body or none is needed.
    Anybody,
}

/// Marks a request whose caller is authenticated. Its body counts for this workspace or person.
#[derive(Clone, Copy, Debug)]
struct Known(Uuid);

/// The counter and the kind of a request's body.
#[derive(Clone)]
struct Intake {
    bodies: Bodies,
    address: Option<IpAddr>,
    kind: Kind,
}

/// The raw bytes of the body once they are read, for handlers that need them in addition to the
/// parsed value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received(Arc<OnceLock<Bytes>>);

impl Received {
    /// Returns the bytes, or none if the body has not been read.
    pub(crate) fn bytes(&self) -> Bytes {
        self.0.get().cloned().unwrap_or_default()
    }
}

/// A caller who is authenticated again if the body took time to arrive.
#[derive(Clone)]
struct Caller(Arc<(AppState, OpContext, Again)>);

/// Records the caller unless they are anonymous. Refuses callers who have too many
/// unread responses.
pub(crate) fn admit(
    extensions: &mut Extensions,
    state: &AppState,
    context: &OpContext,
    again: Again,
) -> Result<(), ApiError> {
    let (holder, caller) = match &context.actor {
        Actor::Anonymous => return Ok(()),
        Actor::Operator => (Uuid::nil(), Uuid::nil()),
        Actor::User(visitor) | Actor::Restricted(visitor) => (visitor.user.id.0, visitor.user.id.0),
        Actor::Token(facts) => (facts.surroundings.workspace_id.0, facts.token_id.0),
    };
    extensions.insert(Known(holder));
    extensions.insert(Caller(Arc::new((state.clone(), context.clone(), again))));
    strangers::release(extensions);
    holders::identify(extensions, &context.actor, holder, caller)
}

/// Refuses a request whose caller is not authenticated.
pub(crate) fn admitted(extensions: &Extensions) -> Result<(), ApiError> {
    match extensions.get::<Known>() {
        Some(Known(_)) => Ok(()),
        None => Err(ServiceError::Unauthenticated.into()),
    }
}

/// Reads the body of a request.
pub(crate) async fn read(request: Request, readers: Readers) -> Result<Bytes, ApiError> {
    receive_body(request, readers, None).await
}

/// Reads a file of a caller who may import it.
pub(crate) async fn read_file(request: Request) -> Result<Bytes, ApiError> {
    receive_body(request, Readers::Known, Some(Kind::File)).await
}

/// Reads a body of this kind, or of the kind of its route.
async fn receive_body(
    request: Request,
    readers: Readers,
    kind: Option<Kind>,
) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    if readers == Readers::Known {
        admitted(&parts.extensions)?;
    }
    let stranger = strangers::wait(&parts.extensions)?;
    let known = parts.extensions.get::<Known>().copied();
    let limit = match known {
        Some(_) if kind == Some(Kind::File) => FILE_LIMIT,
        Some(_) => LIMIT,
        None => STRANGERS_LIMIT,
    };
    let kept = match (parts.extensions.get::<Intake>(), known) {
        (None, _) => Kept::uncounted(),
        (Some(intake), Some(Known(holder))) => {
            intake.bodies.known(holder, kind.unwrap_or(intake.kind))
        }
        (Some(intake), None) => intake.bodies.stranger(intake.address),
    };
    let _waiting =
        Awaited::of(&parts.extensions).filter(|_| known.is_none()).map(|awaited| awaited.begin());
    let mut collecting = pin!(collect(&parts.headers, body, limit, kept));
    let there = poll_fn(|context| Poll::Ready(collecting.as_mut().poll(context))).await;
    let had_to_wait = there.is_pending();
    let bytes = match (there, parts.extensions.get::<Intake>(), known) {
        (Poll::Ready(bytes), ..) => bytes?,
        (Poll::Pending, intake, known) => {
            let waiting =
                intake.zip(known).map(|(intake, Known(holder))| intake.bodies.wait(holder));
            let waiting = waiting.transpose()?;
            tokio::select! {
                collected = timeout(PATIENCE, collecting) => collected.map_err(|_| late())??,
                refusal = strangers::gave_way(stranger.as_ref()) => return Err(refusal),
                refusal = bodies::gave_way(waiting.as_ref()) => return Err(refusal),
            }
        }
    };
    drop(stranger);
    if let Some(Caller(caller)) = parts.extensions.get().filter(|_| had_to_wait) {
        let (state, context, again) = &**caller;
        again.check(state, context).await?;
    }
    if let Some(received) = parts.extensions.get::<Received>() {
        let _ = received.0.set(bytes.clone());
    }
    Ok(bytes)
}

async fn collect(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    mut kept: Kept,
) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok());
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            refusal = kept.given_up() => return Err(refusal),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| {
            ApiError::new(ProblemCode::MalformedRequest, "The request body is incomplete.")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if kept.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        kept.add(&data, announced.unwrap_or(limit))?;
    }
    kept.into_bytes()
}

/// Lends the handler the body and discards the unread part. Cancels handlers that take too long.
pub(crate) async fn receive(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    lend(state, request, next, Kind::default()).await
}

/// The same for verifications.
pub(crate) async fn receive_question(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    lend(state, request, next, Kind::Question).await
}

async fn lend(state: AppState, request: Request, next: Next, kind: Kind) -> Response {
    let (mut parts, body) = request.into_parts();
    let address = client_ip(peer(&parts.extensions), &parts.headers, &state.trusted_proxies);
    parts.extensions.insert(Intake { bodies: state.bodies.clone(), address, kind });
    parts.extensions.insert(Received::default());
    let home = Home::default();
    let guest = strangers::guest(&parts.extensions);
    let awaited = Awaited::of(&parts.extensions);
    // A client that sent `Expect: 100-continue` (RFC 9110 section 10.1.1) gets the response instead
    // of the go-ahead.
    let asks = parts.headers.contains_key(header::EXPECT);
    let most = if parts.version < Version::HTTP_2 { DRAIN } else { DRAIN_STREAM };
    let lent = Lent { body, home: Arc::clone(&home), is_wanted: !asks };
    let request = Request::from_parts(parts, Body::new(lent));
    let response = match timeout(HANDLER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => unavailable().into_response(),
    };
    let unread = home.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Without a place for it, an unauthenticated client does not see the response if it continues
    // to send.
    if let Some(unread) = unread
        && let Ok(stranger) = guest.map_or(Ok(None), |guest| guest.wait())
    {
        let _waiting = awaited.map(|awaited| awaited.begin());
        tokio::select! {
            _ = timeout(DRAIN_TIME, drain(unread, most)) => {}
            _ = strangers::gave_way(stranger.as_ref()) => {}
        }
    }
    response
}

/// The place to which a body returns that was not read to its end.
type Home = Arc<Mutex<Option<Body>>>;

/// A body that returns to its `home` when its reader drops it.
struct Lent {
    body: Body,
    home: Home,
    /// Whether the client sends the body without waiting, or has been asked to send it.
    is_wanted: bool,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_wanted = true;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.is_wanted = false;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_wanted && !self.body.is_end_stream() {
            let body = std::mem::take(&mut self.body);
            *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

async fn drain(mut body: Body, most: usize) {
    let mut seen = 0;
    while seen < most
        && let Some(Ok(frame)) = body.frame().await
    {
        seen += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        ProblemCode::PayloadTooLarge,
        format!("The request body may have at most {limit} bytes."),
    )
}

fn late() -> ApiError {
    ApiError::new(
        ProblemCode::MalformedRequest,
        format!("The request body did not arrive within {} seconds.", PATIENCE.as_secs()),
    )
}

fn unavailable() -> ApiError {
    ApiError::new(
        ProblemCode::Unavailable,
        format!(
            "The request timed out after {} seconds. Check whether the change was made before you \
             try again.",
            HANDLER.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, body: Body, is_known: bool) -> Request {
        let mut request = Request::post(path).body(body).unwrap();
        if is_known {
            request.extensions_mut().insert(Known(Uuid::nil()));
        }
        request
    }

    async fn status(request: Request, readers: Readers) -> Result<usize, u16> {
        read(request, readers)
            .await
            .map(|bytes| bytes.len())
            .map_err(|error| error.problem().status)
    }

    #[tokio::test]
    async fn body_over_the_limit_is_refused() {
        // The path does not matter.
        let path = "/api/v1/workspaces/w/tokens/import";
        for (is_known, is_file, limit) in
            [(true, false, LIMIT), (true, true, FILE_LIMIT), (false, false, STRANGERS_LIMIT)]
        {
            for (size, expected) in [(limit, Ok(limit)), (limit + 1, Err(413))] {
                let request = request(path, vec![b'x'; size].into(), is_known);
                let bytes = if is_file {
                    read_file(request).await
                } else {
                    read(request, Readers::Anybody).await
                };
                let status = bytes.map(|bytes| bytes.len()).map_err(|error| error.problem().status);
                assert_eq!(status, expected, "{is_known} {is_file}");
            }
        }
    }

    #[tokio::test]
    async fn unauthenticated_body_is_not_read_if_authentication_is_required() {
        let endless =
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(status(request("/", endless, false), Readers::Known).await, Err(401));
    }

    #[tokio::test(start_paused = true)]
    async fn only_unauthenticated_requests_count_as_waiting() {
        for is_known in [false, true] {
            let endless =
                Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
            let mut request = request("/", endless, is_known);
            let awaited = Awaited::default();
            request.extensions_mut().insert(awaited.clone());
            let reading = tokio::spawn(read(request, Readers::Anybody));
            tokio::task::yield_now().await;
            assert_eq!(awaited.count(), usize::from(!is_known));
            reading.abort();
            let _ = reading.await;
            assert_eq!(awaited.count(), 0);
        }
    }

    #[tokio::test]
    async fn content_length_over_the_limit_is_refused() {
        let mut request = request("/", Body::empty(), true);
        request.headers_mut().insert(header::CONTENT_LENGTH, "65537".parse().unwrap());
        assert_eq!(status(request, Readers::Known).await, Err(413));
    }

    #[tokio::test]
    async fn requests_of_a_holder_that_wait_for_bodies_are_limited() {
        let bodies = Bodies::of_awaited(4, 1);
        let waits = || {
            let endless =
                Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
            let mut request = request("/", endless, true);
            let (address, kind) = (None, Kind::Change);
            request.extensions_mut().insert(Intake { bodies: bodies.clone(), address, kind });
            status(request, Readers::Known)
        };
        let mut first = pin!(waits());
        assert!(futures::poll!(first.as_mut()).is_pending());
        let mut second = pin!(waits());
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert_eq!(first.await, Err(503));
        assert!(futures::poll!(second).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn endless_body_times_out() {
        let endless =
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(status(request("/", endless, true), Readers::Known).await, Err(400));
    }

    /// A request of an authenticated caller whose body arrives in pieces with this pause.
    fn slow(holder: u128, bodies: &Bodies, pieces: usize, pause: Duration) -> Request {
        let pieces = futures::stream::unfold(0, move |sent| async move {
            tokio::time::sleep(pause).await;
            (sent < pieces)
                .then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"12345678")), sent + 1))
        });
        let mut request = request("/", Body::from_stream(pieces), false);
        request.extensions_mut().insert(Known(Uuid::from_u128(holder)));
        let intake = Intake { bodies: bodies.clone(), address: None, kind: Kind::Change };
        request.extensions_mut().insert(intake);
        request
    }

    #[tokio::test(start_paused = true)]
    async fn slow_body_is_received_while_there_is_room() {
        let bodies = Bodies::default();
        let pause = Duration::from_millis(900);
        let other = Duration::from_millis(90);
        let crowd: Vec<_> = (2..200)
            .map(|holder| tokio::spawn(read(slow(holder, &bodies, 100, other), Readers::Known)))
            .collect();
        let received = read(slow(1, &bodies, 10, pause), Readers::Known).await;
        assert_eq!(received.unwrap().len(), 80);
        for other in crowd {
            assert_eq!(other.await.unwrap().unwrap().len(), 800);
        }
    }

    #[tokio::test]
    async fn body_is_returned_unless_read_or_waiting_for_100_continue() {
        for (reads, asks, comes_home) in
            [(false, false, true), (true, false, false), (false, true, false)]
        {
            let home = Home::default();
            let body = Body::from("some");
            let mut lent = Body::new(Lent { body, home: Arc::clone(&home), is_wanted: !asks });
            if reads {
                while lent.frame().await.is_some() {}
            }
            drop(lent);
            assert_eq!(home.lock().unwrap().is_some(), comes_home, "{reads} {asks}");
        }
    }
}
