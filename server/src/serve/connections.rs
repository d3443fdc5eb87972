//! Accepts connections and serves HTTP on them: HTTP/1.1, or HTTP/2 when the client begins with it.
//!
//! axum's own `serve` has no limits against those who connect and say nothing; this loop gives every
//! connection a time for each request's head and the server a number of connections, whichever
//! listener they come from.
//!
//! Both versions are there without TLS, which is a proxy's business. Nobody is asked to change from one
//! to the other (`Upgrade: h2c` is gone from HTTP/2, RFC 9113 section 3.1).

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::TokioExecutor,
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use super::{
    http1 as one, http2 as two,
    managing::Managing,
    preface::{self, Version},
    signals::Drain,
    unix::UnixDoor,
};
use crate::http::{
    AppState,
    client_ip::Peer,
    remembered::{self, Answer},
};

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

/// Serves until draining begins and is done. With the state, what memory can answer passes no
/// router; with `managing`, those threads do everything but verify.
pub(super) async fn serve(
    listeners: Listeners,
    state: Option<AppState>,
    router: Router,
    managing: Option<Managing>,
    mut drain: Drain,
) {
    let graceful = GracefulShutdown::new();
    let doorman = Doorman::new(House { state, router, managing }, drain.clone());
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
        let (doorman, watcher) = (doorman.clone(), graceful.watcher());
        match accepted {
            Accepted::Tcp(stream, peer) => {
                tokio::spawn(doorman.attend(stream, peer, watcher, place));
            }
            Accepted::Unix(stream) => {
                tokio::spawn(doorman.attend(stream, Peer::Local, watcher, place));
            }
        }
    }
    drop(listeners);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in progress after {} s", DRAIN.as_secs());
    }
}

/// What a connection is served with.
#[derive(Clone)]
struct Doorman {
    two: http2::Builder<TokioExecutor>,
    house: Arc<House>,
    drain: Drain,
}

/// What answers.
struct House {
    state: Option<AppState>,
    router: Router,
    /// Other threads for everything but verifications, if there are any.
    managing: Option<Managing>,
}

impl Doorman {
    fn new(house: House, drain: Drain) -> Self {
        Self { two: two::builder(), house: Arc::new(house), drain }
    }

    /// Serves a connection to its end. A peer that goes away is not worth a word.
    async fn attend<S>(
        mut self,
        stream: S,
        peer: Peer,
        _watcher: Watcher,
        _place: Option<OwnedSemaphorePermit>,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let looked = tokio::select! {
            // First: what has come already is answered, also while draining.
            biased;
            looked = timeout(HEAD, preface::look(stream)) => looked,
            () = self.drain.begun() => return,
        };
        let Ok(Ok((version, stream))) = looked else { return };
        let house = self.house;
        let answer = move |request| Arc::clone(&house).answer(peer, request);
        match version {
            Version::One => one::serve(stream, answer, self.drain, HEAD).await,
            // Boxed: connections of the other kind need not be as large.
            Version::Two => {
                Box::pin(two::serve(&self.two, stream, answer, self.drain, HEAD)).await;
            }
        }
    }
}

impl House {
    /// From memory, or by the router, whose way is boxed: the other need not be as large.
    async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Answer {
        let answered = match &self.state {
            Some(state) => remembered::answer(state, peer, request).await,
            None => Err(request.map(Body::new)),
        };
        match answered {
            Ok(answer) => answer,
            Err(mut request) => {
                request.extensions_mut().insert(peer);
                let managing =
                    self.managing.as_ref().filter(|_| Managing::answers(request.uri().path()));
                let router = self.router.clone();
                remembered::routed(if let Some(managing) = managing {
                    managing.answer(router.oneshot(request)).await
                } else {
                    let Ok(response) = Box::pin(router.oneshot(request)).await;
                    response
                })
            }
        }
    }
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
