//! Accepts connections and serves HTTP/1.1 on them.
//!
//! axum's own `serve` has no limits against those who connect and say nothing; this loop gives every
//! connection a time for each request's head and the server a number of connections.
//!
//! HTTP/1.1 only: what speaks to Tessera is a browser through a proxy or a gateway with connections
//! that it keeps, and HTTP/2 without TLS is what neither does unasked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use super::{signals::Drain, told::Told};

/// How long a connection may rest, or take to send a request's head. Longer than the 60 s for which nginx
/// keeps connections to its upstreams: whoever may reuse one must be the one who closes it.
const HEAD: Duration = Duration::from_secs(75);
/// How long requests in progress may go on after a signal.
const DRAIN: Duration = Duration::from_secs(10);
/// Most connections at a time; further ones wait in the system's queue.
const CONNECTIONS: usize = 10_000;
/// The pause after a failure to accept, which is mostly a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until draining begins and is done.
pub(super) async fn serve(listener: TcpListener, router: Router, mut drain: Drain) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = drain.begun() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = drain.begun() => break,
        };
        let router = router.clone().map_request(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(axum::body::Body::new)
        });
        let connection = builder
            .serve_connection(TokioIo::new(Told::new(stream)), TowerToHyperService::new(router));
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            // A peer that goes away is not worth a word.
            let _ = watched.await;
            drop(place);
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in progress after {} s", DRAIN.as_secs());
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are small and must not wait for more.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}
