//! HTTP/2 without TLS, for clients with prior knowledge (RFC 9113 section 3.3): gateways and
//! sidecars that send many requests at once on one connection.
//!
//! Handlers see what HTTP/1.1 would have shown them: a path and a `Host`. The cost of a connection
//! is bounded: its streams, headers, memory, resets and idle time. The streams of all connections
//! of an address are bounded as well ([`streams`]).
//!
//! [`streams`]: super::streams

use std::{
    future::ready,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::HttpBody, response::IntoResponse as _};
use domain::problem::ProblemCode;
use futures::future::Either;
use h2::Reason;
use http::{HeaderValue, Request, Uri, header};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    life::Life,
    signals::Drain,
    streams::{self, Piece, Stream, counting},
    unsent::Unsent,
};
use crate::{
    http::remembered::{Answer, AnswerBody},
    problem::ApiError,
    request::id::X_REQUEST_ID,
};

/// Concurrent streams on one connection. A gateway opens a second connection for more.
const STREAMS: u32 = 200;
/// The total size of a request's headers, as RFC 9113 section 6.5.2 counts it.
const HEADERS: u32 = 32 * 1024;
/// The number of headers of a request, the same as hyper accepts on HTTP/1.1. A header can take
/// more memory than it has bytes on the wire: one byte that refers to an earlier header (RFC 7541
/// section 6.1) takes about a hundred.
const FIELDS: usize = 100;
/// The bytes that a peer may send before they are read: for one request, and for the whole
/// connection, however many streams it has. The protocol does not allow a smaller window for a
/// connection.
const STREAM_WINDOW: u32 = 16 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024;
/// The bytes that h2 buffers of one response for a slow reader. hyper holds one more piece of the
/// response, of the same size. Bytes in these buffers do not count as unread, however large the
/// peer's windows are.
const SEND_BUFFER: usize = 8 * 1024;
/// Streams that a peer may reset before they are accepted, and streams that it may make the server
/// reset. With more resets, the connection is closed ("rapid reset", CVE-2023-44487).
const RESETS: usize = 20;
const OWN_RESETS: usize = 100;
/// Consecutive streams that are refused because the address has too many, before the peer is asked
/// to close the connection: h2 keeps state for a refused stream for a while.
const REFUSALS: u32 = 20;
/// Further consecutive refusals after which the connection is closed at once. A peer may have
/// opened this many streams before it received GOAWAY.
const MORE_REFUSALS: u32 = STREAMS;
/// How often a silent peer is pinged, and how long it may take to respond.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);
/// How long a connection may make no progress after GOAWAY, and how long it may take to close in
/// all.
const END: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(10);
/// The same for a connection that has to make room for others. It may take [`END`] in all.
const FLUSH: Duration = Duration::from_millis(500);

/// Returns the HTTP/2 server with these limits.
pub(super) fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(OWN_RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// Serves a connection until its peer closes it, until it has drained, after `rest` without a
/// request, or when its peer does not read its responses.
///
/// The server closes a connection with GOAWAY, so that requests in progress are answered. It closes
/// when no request is in progress and its peer reads nothing more. A connection that has to make
/// room for others gets only a short time.
pub(super) async fn serve<S, F>(
    builder: &http2::Builder<TokioExecutor>,
    stream: S,
    answer: impl Fn(Request<Incoming>) -> F,
    streams: Arc<streams::Connection>,
    mut drain: Drain,
    (rest, life): (Duration, Arc<Life>),
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let begun = Arc::clone(&life);
    let refusals = Arc::<Refusals>::default();
    let (refused, counted) = (Arc::clone(&refusals), Arc::clone(&streams));
    let service = service_fn(move |request| {
        let Some(stream) = counted.begin() else {
            refused.another();
            return Either::Left(ready(Err(h2::Error::from(Reason::REFUSED_STREAM))));
        };
        refused.end();
        let is_crowded = request.headers().len() > FIELDS;
        let answer = (!is_crowded).then(|| answer(as_http_1(request)));
        let running = Running::begin(&begun);
        // Boxed, so that the handler's memory is freed while the response waits to be read.
        Either::Right(Box::pin(async move {
            let mut answer = match answer {
                Some(answer) => answer.await,
                None => crowded(),
            };
            if answer.body().is_end_stream()
                && let Some(id) = answer.headers_mut().get_mut(X_REQUEST_ID)
            {
                *id = counting(id.clone(), Arc::clone(&stream));
            }
            let life = running.over();
            stream.waits();
            Ok(answer.map(|body| Sent { body, life, stream }))
        }))
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Borrowed, because the connection's streams keep it alive.
    let unsent = streams.unsent();
    // A disconnecting peer is not logged.
    let drained = tokio::select! {
        _ = connection.as_mut() => return,
        () = unsent.gave_way() => false,
        () = refusals.reach(REFUSALS) => false,
        () = unsent.too_long() => false,
        () = drain.begun() => true,
        () = rested(&life, rest) => false,
    };
    connection.as_mut().graceful_shutdown();
    refusals.end();
    tokio::select! {
        _ = connection => {}
        () = made_room(unsent, &life) => {}
        () = refusals.reach(MORE_REFUSALS) => {}
        // Draining has its own limit.
        () = stands_still(unsent, &life, END), if !drained => {}
        () = sleep(LONGEST), if !drained => {}
    }
}

/// Resolves when no request is being answered and the peer has read nothing for this long.
async fn stands_still(unsent: &Unsent, life: &Life, long: Duration) {
    let is_busy = || life.is_answering() || unsent.is_making();
    let progress = || (unsent.progress(), life.progress());
    loop {
        // A response that was produced in the meantime has to be sent, too.
        let (was_busy, before) = (is_busy(), progress());
        sleep(long).await;
        if !was_busy && !is_busy() && progress() == before {
            return;
        }
    }
}

/// Resolves when the connection had to make room for others and its time for requests in progress
/// is over.
async fn made_room(unsent: &Unsent, life: &Life) {
    unsent.gave_way().await;
    let _ = timeout(END, stands_still(unsent, life, FLUSH)).await;
}

/// The number of consecutive refused streams.
#[derive(Debug, Default)]
struct Refusals {
    count: AtomicU32,
    another: Notify,
}

impl Refusals {
    fn another(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSALS {
            self.another.notify_one();
        }
    }

    fn end(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.count.store(0, Ordering::Relaxed);
        }
    }

    /// Resolves after this number of consecutive refusals, which is at least [`REFUSALS`].
    async fn reach(&self, number: u32) {
        while self.count.load(Ordering::Relaxed) < number {
            self.another.notified().await;
        }
    }
}

fn crowded() -> Answer {
    let detail = "The request has more than 100 headers.";
    ApiError::new(ProblemCode::HeadersTooLarge, detail)
        .into_response()
        .map(http_body_util::Either::Right)
}

/// Returns the request as HTTP/1.1 would have shown it: `:authority` becomes the host, and the URI
/// becomes a path. A different `Host` is kept as well (RFC 9113 section 8.3.1), because a request
/// that names two hosts is refused.
fn as_http_1<B>(mut request: Request<B>) -> Request<B> {
    let authority = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = authority
        && request.headers().get_all(header::HOST).iter().ne([&host])
    {
        request.headers_mut().append(header::HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

/// A request whose response is being produced. While a response is sent, only the peer's reading
/// counts as activity: a connection whose peer reads nothing is idle.
#[derive(Debug)]
struct Running(Arc<Life>);

impl Running {
    fn begin(life: &Arc<Life>) -> Self {
        life.begin();
        Self(Arc::clone(life))
    }

    /// Ends the request, because its response is ready.
    fn over(self) -> Arc<Life> {
        Arc::clone(&self.0)
    }
}

/// Resolves when nothing has happened for `rest`, and takes at most twice as long. The first
/// request must arrive within a fifth of `rest`.
async fn rested(life: &Life, rest: Duration) {
    sleep(rest / 5).await;
    if life.progress() == 0 {
        return;
    }
    loop {
        let begun = life.progress();
        sleep(rest).await;
        if !life.is_answering() && life.progress() == begun {
            return;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A response body in which every piece that is handed on shows that the peer took an earlier
/// piece: hyper polls for the next piece when the last piece fits into the peer's window and h2's
/// buffer.
#[derive(Debug)]
struct Sent {
    body: AnswerBody,
    life: Arc<Life>,
    stream: Arc<Stream>,
}

impl HttpBody for Sent {
    type Data = Piece;
    type Error = <AnswerBody as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match frame {
            Poll::Ready(Some(_)) => {
                self.life.wrote();
                self.stream.waits();
            }
            // The body is complete. Its unsent part waits for the peer.
            Poll::Ready(None) => self.stream.waits(),
            Poll::Pending => self.stream.works(),
        }
        frame.map_ok(|frame| frame.map_data(|bytes| Piece::new(bytes, Arc::clone(&self.stream))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use futures::StreamExt as _;
    use http::Response;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        task::JoinHandle,
    };

    use super::*;
    use crate::{
        request::client_ip::Peer,
        serve::{life, signals::Signals, streams::Streams},
    };

    const PIECE: usize = 8 * 1024;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// Empty settings, and a window of 0 for each stream (RFC 9113 section 6.5.2).
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const NO_WINDOW: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
    /// Windows of 2^30 bytes for each stream and for the connection.
    const WIDE: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\x40\0\0\0\0\0\x04\x08\0\0\0\0\0\x40\0\0\0";

    /// Frame types (RFC 9113 section 6).
    mod kind {
        pub(super) const DATA: u8 = 0;
        pub(super) const HEADERS: u8 = 1;
        pub(super) const RST_STREAM: u8 = 3;
        pub(super) const PING: u8 = 6;
        pub(super) const GOAWAY: u8 = 7;
    }

    /// Returns the head of this stream: `GET http://x/` (RFC 7541 appendix A).
    fn get(stream: u32) -> Vec<u8> {
        let block = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
        let head = [0, 0, 6, 1, 5];
        [&head[..], &stream.to_be_bytes(), &block].concat()
    }

    /// Returns a frame that enlarges a stream's window by `more`.
    fn window(stream: u32, more: u32) -> Vec<u8> {
        [&[0, 0, 4, 8, 0][..], &stream.to_be_bytes(), &more.to_be_bytes()].concat()
    }

    /// Advances the connections' ticks by one each second.
    fn seconds() -> JoinHandle<()> {
        tokio::spawn(async {
            loop {
                sleep(Duration::from_secs(1)).await;
                life::tick();
            }
        })
    }

    fn stream_of(pieces: impl futures::Stream<Item = Bytes> + Send + 'static) -> Answer {
        let pieces = pieces.map(Ok::<_, std::convert::Infallible>);
        Response::new(http_body_util::Either::Right(Body::from_stream(pieces)))
    }

    fn network(host: u8) -> Peer {
        Peer::Network([192, 0, 2, host].into())
    }

    fn text() -> Answer {
        Response::new(http_body_util::Either::Right(Body::from("a text")))
    }

    /// The peer of a connection, at the level of bytes.
    struct Raw {
        io: DuplexStream,
        /// The types and streams of the frames received so far.
        seen: Vec<(u8, u32)>,
        served: JoinHandle<()>,
        _signals: Signals,
    }

    impl Raw {
        /// Connects and sends these settings.
        async fn open<F>(
            streams: Arc<streams::Connection>,
            settings: &[u8],
            answer: impl Fn() -> F + Send + 'static,
        ) -> Self
        where
            F: Future<Output = Answer> + Send + 'static,
        {
            Self::open_with(64 * 1_024, streams, settings, answer).await
        }

        /// Connects through a pipe that buffers `held` bytes.
        async fn open_with<F>(
            held: usize,
            streams: Arc<streams::Connection>,
            settings: &[u8],
            answer: impl Fn() -> F + Send + 'static,
        ) -> Self
        where
            F: Future<Output = Answer> + Send + 'static,
        {
            let (mut io, far) = duplex(held);
            let signals = Signals::catch().unwrap();
            let drain = signals.drain();
            let life = (Duration::from_secs(75), Arc::<Life>::default());
            let served = tokio::spawn(async move {
                serve(&builder(), far, move |_| answer(), streams, drain, life).await;
            });
            io.write_all(&[PREFACE, settings].concat()).await.unwrap();
            Self { io, seen: Vec::new(), served, _signals: signals }
        }

        async fn ask(&mut self, streams: std::ops::Range<u32>) {
            let all: Vec<u8> = streams.flat_map(|stream| get(stream * 2 + 1)).collect();
            self.io.write_all(&all).await.unwrap();
        }

        /// Reads a frame and answers pings. Returns whether there was a frame.
        async fn next(&mut self) -> bool {
            let mut head = [0; 9];
            if self.io.read_exact(&mut head).await.is_err() {
                return false;
            }
            let [_, high, low, found, flags, stream @ ..] = head;
            let mut payload = vec![0; usize::from(high) << 8 | usize::from(low)];
            if self.io.read_exact(&mut payload).await.is_err() {
                return false;
            }
            if found == kind::PING && flags & 1 == 0 {
                let head = [0, 0, 8, kind::PING, 1, 0, 0, 0, 0];
                let _ = self.io.write_all(&[&head[..], &payload].concat()).await;
            }
            self.seen.push((found, u32::from_be_bytes(stream)));
            true
        }

        /// Reads until `number` frames of a type have arrived, and returns their streams.
        async fn until(&mut self, kind: u8, number: usize) -> Vec<u32> {
            loop {
                let of = self.seen.iter().filter(|(found, _)| *found == kind);
                let streams: Vec<_> = of.map(|(_, stream)| *stream).collect();
                if streams.len() >= number {
                    return streams;
                }
                assert!(self.next().await, "the end after {:?}", self.seen);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connection_without_flow_control_window_closes_and_frees_its_streams() {
        let counts = Streams::new(Arc::from([]));
        let streams = counts.connect(network(1));
        let mut peer = Raw::open(Arc::clone(&streams), NO_WINDOW, async || text()).await;
        peer.ask(0..10).await;
        peer.until(kind::HEADERS, 10).await;
        // The peer keeps sending requests, so that the connection is not idle.
        for number in 10..100 {
            sleep(Duration::from_secs(5)).await;
            if peer.served.is_finished() {
                break;
            }
            let _ = peer.io.write_all(&get(number * 2 + 1)).await;
            while let Ok(true) = timeout(Duration::from_millis(1), peer.next()).await {}
        }
        assert!(peer.served.is_finished());
        peer.until(kind::GOAWAY, 1).await;
        until_none_counts(&streams).await;
    }

    #[tokio::test(start_paused = true)]
    async fn export_continues_beside_an_unread_response_and_after_goaway() {
        let _seconds = seconds();
        let counts = Streams::with(Arc::from([]), 4);
        let mut peer = Raw::open(counts.connect(network(1)), NO_WINDOW, async || {
            stream_of(futures::stream::repeat(Bytes::from_static(&[b'x'; 1_000])).take(60))
        })
        .await;
        peer.ask(0..2).await;
        peer.until(kind::HEADERS, 2).await;
        for number in 0..60 {
            if number == 30 {
                // These streams are refused.
                peer.ask(2..30).await;
                peer.until(kind::GOAWAY, 1).await;
            }
            peer.io.write_all(&window(1, 1_000)).await.unwrap();
            let seen = peer.until(kind::DATA, number + 1).await;
            assert!(seen.iter().all(|stream| *stream == 1));
            sleep(Duration::from_secs(8)).await;
        }
        // Nothing moves any more.
        while peer.next().await {}
        peer.served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn unread_socket_holds_few_bytes_despite_wide_windows() {
        const STREAMS: u32 = 50;
        let counts = Streams::new(Arc::from([]));
        let kept = Arc::<AtomicU32>::default();
        let all = Arc::clone(&kept);
        let mut peer = Raw::open_with(1_024, counts.connect(network(1)), WIDE, move || {
            let all = Arc::clone(&all);
            let piece = move |_| Bytes::from_owner(Counted::new(Arc::clone(&all)));
            ready(stream_of(futures::stream::iter(0..20).map(piece)))
        })
        .await;
        peer.ask(0..STREAMS).await;
        // By then, everything that can be sent has been sent.
        sleep(Duration::from_secs(1)).await;
        let kept = kept.load(Ordering::Relaxed);
        assert!((STREAMS..=2 * STREAMS + 2).contains(&kept), "{kept}");
        while peer.seen.iter().filter(|(kind, _)| *kind == kind::DATA).count() < 1_000 {
            assert!(peer.next().await);
        }
    }

    /// A piece of a response that is counted while it is held.
    struct Counted(Vec<u8>, Arc<AtomicU32>);

    impl Counted {
        fn new(all: Arc<AtomicU32>) -> Self {
            all.fetch_add(1, Ordering::Relaxed);
            Self(vec![b'x'; PIECE], all)
        }
    }

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn response_with_a_late_end_still_waits_for_its_peer() {
        let counts = Streams::new(Arc::from([]));
        let mut peer = Raw::open(counts.connect(network(1)), NO_WINDOW, async || {
            stream_of(futures::stream::unfold(false, async |is_over| {
                if is_over {
                    sleep(Duration::from_secs(1)).await;
                    return None;
                }
                Some((Bytes::from_static(b"a piece"), true))
            }))
        })
        .await;
        peer.ask(0..1).await;
        peer.io.write_all(&window(1, 6)).await.unwrap();
        // An idle connection would close only later than that.
        let end = async { while peer.next().await {} };
        timeout(Duration::from_secs(80), end).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn connection_whose_peer_reads_stays_open() {
        let counts = Streams::new(Arc::from([]));
        let mut peer = Raw::open(counts.connect(network(1)), SETTINGS, async || text()).await;
        for number in 0..100 {
            peer.ask(number..number + 1).await;
            peer.until(kind::HEADERS, number as usize + 1).await;
            sleep(Duration::from_secs(5)).await;
        }
        assert!(!peer.served.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn response_in_production_keeps_its_connection_open() {
        let counts = Streams::new(Arc::from([]));
        let mut peer = Raw::open(counts.connect(network(1)), SETTINGS, async || {
            let pieces = futures::stream::unfold(0, async |count| {
                sleep(Duration::from_secs(65)).await;
                (count < 2).then(|| (Ok::<_, std::convert::Infallible>("piece"), count + 1))
            });
            Response::new(http_body_util::Either::Right(Body::from_stream(pieces)))
        })
        .await;
        peer.ask(0..1).await;
        peer.until(kind::DATA, 3).await;
    }

    #[tokio::test(start_paused = true)]
    async fn unread_connection_is_closed_for_another_address() {
        let counts = Streams::with(Arc::from([]), 20);
        let many = counts.connect(network(1));
        let number = AtomicU32::new(0);
        let mut idle = Raw::open(Arc::clone(&many), NO_WINDOW, move || {
            let is_slow = number.fetch_add(1, Ordering::Relaxed) == 5;
            async move {
                sleep(Duration::from_secs(if is_slow { 3 } else { 0 })).await;
                text()
            }
        })
        .await;
        idle.ask(0..20).await;
        assert_eq!(idle.until(kind::HEADERS, 9).await.len(), 9);
        for _ in 0..4 {
            life::tick();
        }
        counts.rank();
        let few = counts.connect(network(2));
        let mut busy = Raw::open(few, SETTINGS, async || {
            sleep(Duration::from_secs(1)).await;
            text()
        })
        .await;
        busy.ask(0..9).await;
        assert_eq!(busy.until(kind::HEADERS, 9).await.len(), 9);
        // The request in progress is answered.
        assert_eq!(idle.until(kind::HEADERS, 10).await.len(), 10);
        idle.until(kind::GOAWAY, 1).await;
        while idle.next().await {}
        idle.served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_progress_are_answered_despite_many_refusals() {
        let counts = Streams::with(Arc::from([]), 20);
        let answers = Arc::<Notify>::default();
        let wait = Arc::clone(&answers);
        let mut peer = Raw::open(counts.connect(network(1)), SETTINGS, move || {
            let wait = Arc::clone(&wait);
            async move {
                wait.notified().await;
                text()
            }
        })
        .await;
        peer.ask(0..60).await;
        assert_eq!(peer.until(kind::RST_STREAM, 50).await.len(), 50);
        peer.until(kind::GOAWAY, 1).await;
        answers.notify_waiters();
        let mut ended = peer.until(kind::HEADERS, 10).await;
        ended.sort_unstable();
        assert_eq!(ended, (0..10).map(|stream| stream * 2 + 1).collect::<Vec<_>>());
        while peer.next().await {}
        peer.served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_continues_after_many_refusals_is_closed() {
        let counts = Streams::with(Arc::from([]), 2);
        let mut peer =
            Raw::open(counts.connect(network(1)), SETTINGS, std::future::pending::<Answer>).await;
        // The peer answers no ping, so that the server does not learn the last stream and keeps
        // accepting some.
        let mut number = 0;
        while !peer.served.is_finished() && number < 1_000 {
            let _ = peer.io.write_all(&get(number * 2 + 1)).await;
            number += 1;
            tokio::task::yield_now().await;
        }
        assert!(peer.served.is_finished());
    }

    /// Waits for the tasks of streams, which finish after their connection.
    async fn until_none_counts(streams: &Arc<streams::Connection>) {
        while streams.count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stream_without_body_counts_until_its_head_is_sent() {
        const STREAMS: u32 = 200;
        let streams = Streams::new(Arc::from([])).connect(Peer::Local);
        let mut peer = Raw::open_with(1_024, Arc::clone(&streams), SETTINGS, async || {
            // Longer than the buffer for written responses.
            let mut long = HeaderValue::try_from("x".repeat(1_000)).unwrap();
            long.set_sensitive(true);
            let response = Response::builder().header(X_REQUEST_ID, "of this request");
            response
                .header("x-long", long)
                .body(http_body_util::Either::Right(Body::empty()))
                .unwrap()
        })
        .await;
        peer.ask(0..STREAMS).await;
        // By then, everything that can be sent has been sent.
        sleep(Duration::from_secs(1)).await;
        assert!(streams.count() > 0);
        while streams.count() > 0 {
            assert!(peer.next().await);
        }
    }

    #[test]
    fn handlers_see_host_and_path_as_in_http_1() {
        let request = Request::get("http://tessera.example:3000/a%20b?c=d").body(()).unwrap();
        let request = as_http_1(request);
        assert_eq!(request.uri(), "/a%20b?c=d");
        let hosts: Vec<_> = request.headers().get_all("host").iter().collect();
        assert_eq!(hosts, ["tessera.example:3000"]);
        let request = Request::get("http://one.example/").header("host", "other.example");
        let request = as_http_1(request.body(()).unwrap());
        assert_eq!(request.headers().get_all("host").iter().count(), 2);
        let request = as_http_1(Request::get("/x").header("host", "kept").body(()).unwrap());
        assert_eq!(
            (request.uri().path(), &request.headers()["host"]),
            ("/x", &"kept".parse().unwrap())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn connection_is_idle_only_without_running_or_new_requests() {
        let rest = Duration::from_secs(75);
        let life = Arc::new(Life::default());
        assert!(
            timeout(rest / 4, rested(&life, rest)).await.is_ok(),
            "an unused connection is idle"
        );
        let running = Running::begin(&life);
        assert!(
            timeout(rest * 10, rested(&life, rest)).await.is_err(),
            "a connection with a running request is not idle"
        );
        drop(running);
        let mut rested = pin!(rested(&life, rest));
        assert!(timeout(rest / 2, rested.as_mut()).await.is_err());
        drop(Running::begin(&life));
        assert!(timeout(rest, rested.as_mut()).await.is_err(), "a request restarts the timeout");
        sleep(rest / 5).await;
        assert!(timeout(rest, rested).await.is_ok());
    }
}
