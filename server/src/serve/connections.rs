//! Accepts connections and serves HTTP on them.
//!
//! axum's own `serve` has no limits against those who connect and say nothing; this loop gives every
//! connection a time for each request's head and the server a number of connections, whichever
//! listener they come from.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, response::Response};
use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt as _};

use super::{signals::Drain, told::Told, unix::UnixDoor};
use crate::http::client_ip::Peer;

/// How long a connection may rest, or take to send a request's head. Longer than the 60 s for which nginx
/// keeps connections to its upstreams: whoever may reuse one must be the one who closes it.
const HEAD: Duration = Duration::from_secs(75);
/// How long requests in progress may go on after a signal.
const DRAIN: Duration = Duration::from_secs(10);
/// Most connections at a time; further ones wait in the system's queue.
const CONNECTIONS: usize = 10_000;
/// The pause after a failure to accept, which is mostly a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Where connections come from.
pub(super) struct Listeners {
    /// The network.
    pub(super) tcp: TcpListener,
    /// This machine.
    pub(super) unix: Option<UnixDoor>,
}

enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream),
}

/// Serves until draining begins and is done.
pub(super) async fn serve(listeners: Listeners, router: Router, mut drain: Drain) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connections = Connections { builder, graceful: GracefulShutdown::new(), router };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.ok(),
            () = drain.begun() => break,
        };
        let accepted = tokio::select! {
            accepted = listeners.accept() => accepted,
            () = drain.begun() => break,
        };
        match accepted {
            Accepted::Tcp(stream, peer) => connections.spawn(stream, peer, place),
            Accepted::Unix(stream) => connections.spawn(stream, Peer::Local, place),
        }
    }
    drop(listeners);
    if timeout(DRAIN, connections.graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in progress after {} s", DRAIN.as_secs());
    }
}

struct Connections {
    builder: http1::Builder,
    graceful: GracefulShutdown,
    router: Router,
}

impl Connections {
    fn spawn<S>(&self, stream: S, peer: Peer, place: Option<OwnedSemaphorePermit>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = TowerToHyperService::new(service(peer, self.router.clone()));
        let connection = self.builder.serve_connection(TokioIo::new(Told::new(stream)), service);
        let watched = self.graceful.watch(connection);
        tokio::spawn(async move {
            // A peer that goes away is not worth a word.
            let _ = watched.await;
            drop(place);
        });
    }
}

/// What answers on a connection of this peer.
fn service(
    peer: Peer,
    router: Router,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.map(axum::body::Body::new)
    })
}

impl Listeners {
    async fn accept(&self) -> Accepted {
        match &self.unix {
            None => self.accept_tcp().await,
            Some(door) => tokio::select! {
                accepted = self.accept_tcp() => accepted,
                accepted = accept_unix(door) => accepted,
            },
        }
    }

    async fn accept_tcp(&self) -> Accepted {
        let (stream, peer) = retried(|| self.tcp.accept()).await;
        // Answers are small and must not wait for more.
        let _ = stream.set_nodelay(true);
        Accepted::Tcp(stream, Peer::Network(peer.ip()))
    }
}

async fn accept_unix(door: &UnixDoor) -> Accepted {
    let (stream, _) = retried(|| door.listener().accept()).await;
    Accepted::Unix(stream)
}

async fn retried<T, F: Future<Output = io::Result<T>>>(accept: impl Fn() -> F) -> T {
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}
