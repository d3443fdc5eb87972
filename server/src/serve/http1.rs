//! HTTP/1.1 on one connection.
//!
//! hyper can time each request's head, and hyper-util can drain a connection, but both read the
//! clock or a list of waiters on every request. Here a single timer fires now and then, and
//! requests only read a flag.

use std::{convert::Infallible, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep},
};

use super::{life::Life, refusals::WithReasons, signals::Drain};
use crate::http::remembered::Answer;

/// The bytes buffered of a request's head, and of a response before it is sent.
const BUFFER: usize = 48 * 1024;
/// How often the timer fires within the time that a connection may be idle.
const LOOKS: u32 = 5;

/// Serves a connection until its peer closes it, until it has drained, or until it has sent no
/// complete head for `rest`. The last takes up to a fifth longer than `rest`. The first head must
/// arrive within a fifth of `rest`. A disconnecting peer is not logged.
pub(super) async fn serve<S, F>(
    stream: S,
    answer: impl Fn(Request<Incoming>) -> F,
    mut drain: Drain,
    rest: Duration,
    life: Arc<Life>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        life.begin();
        let answer = answer(request);
        async {
            let answer = answer.await;
            life.end();
            Ok::<_, Infallible>(answer)
        }
    });
    let io = TokioIo::new(WithReasons::new(stream, Arc::clone(&life)));
    let mut connection =
        pin!(http1::Builder::new().max_buf_size(BUFFER).serve_connection(io, service));
    let draining = drain.clone();
    let mut drained = pin!(drain.begun());
    let mut look = pin!(sleep(rest / LOOKS));
    let (mut is_watched, mut is_closing) = (false, false);
    let (mut seen, mut quiet) = (0, 0);
    poll_fn(|context| {
        // Polled only once: both keep waking this task, because the task never changes.
        if !is_watched {
            is_watched = true;
            let _ = drained.as_mut().poll(context);
            let _ = look.as_mut().poll(context);
        }
        if !is_closing && draining.has_begun() {
            is_closing = true;
            connection.as_mut().graceful_shutdown();
        }
        if look.is_elapsed() {
            let progress = life.progress();
            let rests = progress == seen && !life.is_answering();
            quiet = if rests { quiet + 1 } else { 0 };
            seen = progress;
            if quiet == LOOKS || progress == 0 {
                return Poll::Ready(());
            }
            look.as_mut().reset(Instant::now() + rest / LOOKS);
            let _ = look.as_mut().poll(context);
        }
        connection.as_mut().poll(context).map(drop)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::Either;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        task::JoinHandle,
        time::timeout,
    };

    use super::*;
    use crate::serve::signals::Signals;

    const REST: Duration = Duration::from_secs(75);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A connection whose requests take `time` each.
    fn connection(time: Duration) -> (DuplexStream, JoinHandle<()>, Signals) {
        let (near, far) = duplex(1_024);
        let signals = Signals::catch().unwrap();
        let drain = signals.drain();
        let answer = move |_| async move {
            sleep(time).await;
            http::Response::new(Either::Right(Body::empty()))
        };
        (near, tokio::spawn(serve(far, answer, drain, REST, Arc::default())), signals)
    }

    async fn ask(peer: &mut DuplexStream) {
        peer.write_all(REQUEST).await.unwrap();
        let mut bytes = [0; 512];
        let read = peer.read(&mut bytes).await.unwrap();
        assert!(bytes[..read].starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connection_closes_after_the_timeout() {
        let (mut peer, served, _signals) = connection(Duration::ZERO);
        ask(&mut peer).await;
        for _ in 0..5 {
            sleep(REST * 9 / 10).await;
            ask(&mut peer).await;
        }
        let began = Instant::now();
        served.await.unwrap();
        assert!((REST..REST + REST / LOOKS).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_request_head_does_not_keep_the_connection_open() {
        let (mut peer, served, _signals) = connection(Duration::ZERO);
        let began = Instant::now();
        for byte in REQUEST.iter().cycle().take(10) {
            peer.write_all(&[*byte]).await.unwrap();
            sleep(Duration::from_secs(20)).await;
            if served.is_finished() {
                break;
            }
        }
        assert!(served.is_finished() && began.elapsed() < REST);
    }

    #[tokio::test(start_paused = true)]
    async fn request_may_take_longer_than_the_idle_timeout() {
        let (mut peer, served, _signals) = connection(REST * 4);
        ask(&mut peer).await;
        assert!(!served.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn drain_closes_idle_connections_and_waits_for_responses() {
        let (mut peer, served, signals) = connection(REST);
        peer.write_all(REQUEST).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        signals.begin_drain();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert!(all.starts_with(b"HTTP/1.1 200"));
        served.await.unwrap();

        let (_peer, served, signals) = connection(REST);
        sleep(Duration::from_secs(1)).await;
        signals.begin_drain();
        timeout(Duration::from_secs(1), served).await.unwrap().unwrap();
    }
}
