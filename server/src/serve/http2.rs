//! HTTP/2 without TLS, for clients that know beforehand (RFC 9113 section 3.3): gateways and sidecars
//! that ask about many calls at once on one connection.
//!
//! Handlers see what HTTP/1.1 would have shown them: a path and a `Host`. What one connection may
//! cost is bounded: streams, headers, memory, streams that are opened to be reset, and its rest. So are the streams of
//! all connections of an address ([`streams`]).
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
    streams::{Caller, Piece, Stream, counting},
};
use crate::http::{
    answer::X_REQUEST_ID,
    problem::ApiError,
    remembered::{Answer, AnswerBody},
};

/// Streams at a time on one connection. A gateway opens a second connection beyond it.
const STREAMS: u32 = 200;
/// All headers of a request together, as RFC 9113 section 6.5.2 counts them.
const HEADERS: u32 = 32 * 1024;
/// Headers of a request, as many as hyper takes by HTTP/1.1. Each takes more memory than it has bytes: one of a byte,
/// which refers to an earlier one (RFC 7541 section 6.1), a hundred.
const FIELDS: usize = 100;
/// What a peer may send before it is read: of one request, and on the whole connection, however many
/// streams it has. The protocol knows no smaller window for a connection.
const STREAM_WINDOW: u32 = 16 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024;
/// What is held back of one answer for a peer that reads slowly.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a peer may reset before they were looked at, and that it may make the server reset:
/// beyond it, the connection is closed ("rapid reset", CVE-2023-44487).
const RESETS: usize = 20;
const OWN_RESETS: usize = 100;
/// Streams in a row that are refused because the address has too many, before the connection is ended: h2 keeps state
/// for a refused stream for a while.
const REFUSALS: u32 = 20;
/// How often a peer that says nothing is asked whether it is there, and how long it may take.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);
/// How long a connection that was told to end may take for it.
const END: Duration = Duration::from_secs(10);

/// The server's side of HTTP/2 with these bounds.
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

/// Serves a connection to its end: the peer's, that of draining, or after `rest` without a request.
pub(super) async fn serve<S, F>(
    builder: &http2::Builder<TokioExecutor>,
    stream: S,
    answer: impl Fn(Request<Incoming>) -> F,
    caller: Arc<Caller>,
    mut drain: Drain,
    (rest, life): (Duration, Arc<Life>),
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let begun = Arc::clone(&life);
    let refusals = Arc::<Refusals>::default();
    let refused = Arc::clone(&refusals);
    let service = service_fn(move |request| {
        let Some(stream) = caller.begin() else {
            refused.another();
            return Either::Left(ready(Err(h2::Error::from(Reason::REFUSED_STREAM))));
        };
        refused.end();
        let is_crowded = request.headers().len() > FIELDS;
        let answer = (!is_crowded).then(|| answer(as_http_1(request)));
        let running = Running::begin(&begun);
        // Boxed: what made an answer keeps no memory while the answer waits to be read.
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
            Ok(answer.map(|body| Sent { body, life, stream }))
        }))
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A peer that goes away is not worth a word.
    let drained = tokio::select! {
        _ = connection.as_mut() => return,
        () = refusals.too_many() => return,
        () = drain.begun() => true,
        () = rested(&life, rest) => false,
    };
    connection.as_mut().graceful_shutdown();
    if drained {
        // Draining has its own limit.
        let _ = connection.await;
    } else {
        let _ = timeout(END, connection).await;
    }
}

/// The streams in a row that were refused.
#[derive(Debug, Default)]
struct Refusals {
    count: AtomicU32,
    too_many: Notify,
}

impl Refusals {
    fn another(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 == REFUSALS {
            self.too_many.notify_one();
        }
    }

    fn end(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.count.store(0, Ordering::Relaxed);
        }
    }

    async fn too_many(&self) {
        self.too_many.notified().await;
    }
}

fn crowded() -> Answer {
    let detail = "The request has more than 100 headers.";
    ApiError::new(ProblemCode::HeadersTooLarge, detail)
        .into_response()
        .map(http_body_util::Either::Right)
}

/// The request as HTTP/1.1 would have brought it: `:authority` is the host, and the address is a path. A
/// `Host` beside it that differs stays (RFC 9113 section 8.3.1): a request that names two hosts is refused.
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

/// A request whose answer is being made. While the answer is sent, only what the peer takes keeps the
/// connection: a peer that takes nothing rests.
#[derive(Debug)]
struct Running(Arc<Life>);

impl Running {
    fn begin(life: &Arc<Life>) -> Self {
        life.begin();
        Self(Arc::clone(life))
    }

    /// The answer is made.
    fn over(self) -> Arc<Life> {
        Arc::clone(&self.0)
    }
}

/// Resolves when nothing has happened for `rest`, and before it was twice as long. The first request has
/// a fifth of that time.
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

/// A body of which every piece that is sent shows that the peer takes it: hyper asks for the next one when
/// the peer's window has room.
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
        if matches!(frame, Poll::Ready(Some(_))) {
            self.life.wrote();
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
    use axum::body::Body;
    use http::Response;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};

    use super::*;
    use crate::{
        http::client_ip::Peer,
        serve::{signals::Signals, streams::Streams},
    };

    /// `GET http://x/` (RFC 7541 appendix A), as the head of this stream.
    fn get(stream: u32) -> Vec<u8> {
        let block = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
        let head = [0, 0, 6, 1, 5];
        [&head[..], &stream.to_be_bytes(), &block].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn stream_counts_until_the_head_of_an_answer_without_a_body_was_sent() {
        const STREAMS: u32 = 100;
        let (near, far) = duplex(1_024);
        let caller = Streams::new(Arc::from([])).caller(Peer::Local);
        let signals = Signals::catch().unwrap();
        let answer = async |_: Request<Incoming>| {
            // More than is held of answers that are written already.
            let mut long = HeaderValue::try_from("x".repeat(1_000)).unwrap();
            long.set_sensitive(true);
            let response = Response::builder().header(X_REQUEST_ID, "of this request");
            response
                .header("x-long", long)
                .body(http_body_util::Either::Right(Body::empty()))
                .unwrap()
        };
        let builder = builder();
        let (mut reading, mut writing) = split(near);
        let (drain, counted) = (signals.drain(), Arc::clone(&caller));
        let life = (Duration::from_secs(75), Arc::<Life>::default());
        let served =
            serve(&builder, far, move |request| Box::pin(answer(request)), counted, drain, life);
        let peer = async {
            writing
                .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
                .await
                .unwrap();
            for stream in 0..STREAMS {
                writing.write_all(&get(stream * 2 + 1)).await.unwrap();
            }
            // Everything that can be done was done by then.
            sleep(Duration::from_secs(1)).await;
            let unread = caller.count();
            assert!(unread > 0);
            let mut bytes = [0; 1_024];
            while caller.count() > 0 {
                assert!(reading.read(&mut bytes).await.unwrap() > 0);
            }
        };
        tokio::select! {
            () = served => panic!("the connection ended"),
            () = peer => {}
        }
    }

    #[test]
    fn handlers_see_host_and_path_as_from_http_1() {
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
    async fn connection_rests_only_when_nothing_runs_and_nothing_began() {
        let rest = Duration::from_secs(75);
        let life = Arc::new(Life::default());
        assert!(timeout(rest / 4, rested(&life, rest)).await.is_ok(), "no request came");
        let running = Running::begin(&life);
        assert!(timeout(rest * 10, rested(&life, rest)).await.is_err(), "a request is running");
        drop(running);
        let mut rested = pin!(rested(&life, rest));
        assert!(timeout(rest / 2, rested.as_mut()).await.is_err());
        drop(Running::begin(&life));
        assert!(timeout(rest, rested.as_mut()).await.is_err(), "a request was there");
        sleep(rest / 5).await;
        assert!(timeout(rest, rested).await.is_ok());
    }
}
