//! Accepts connections and serves HTTP on them: HTTP/1.1, or HTTP/2 if the client begins with its
//! preface.
//!
//! axum's own `serve` sets no limits for clients that connect and send nothing. This loop limits
//! the time to the first byte of a connection and to the end of each request's head, and gives
//! every connection a place ([`places`]). The network has a number of places, each address may use
//! some of them, and the Unix socket has its own. When all places are taken, a small reserve still
//! accepts health checks.
//!
//! [`places`]: super::places
//!
//! Both versions are served without TLS, which is left to a proxy. The server offers no upgrade
//! from one version to the other (RFC 9113 section 3.1 removed `Upgrade: h2c` from HTTP/2).

use std::{fs::File, future::ready, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    middleware::{Next, from_fn},
    response::Response,
};
use domain::problem::ProblemCode;
use http::{HeaderValue, Request, header};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::TokioExecutor,
    server::graceful::{GracefulShutdown, Watcher},
};
use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixStream},
    task::spawn_blocking,
    time::{interval, sleep, timeout},
};
use tower::ServiceExt as _;

use super::{
    http1 as one, http2 as two, life,
    managing::Managing,
    places::{Limits, Place, Places},
    preface::{self, Version},
    signals::Drain,
    streams::Streams,
    unix::UnixDoor,
};
use crate::{
    http::remembered::{self, Answer},
    limits::awaited::Awaited,
    request::{client_ip::Peer, health},
    state::AppState,
};

/// How long a connection may be idle, or take to send a request's head. This is longer than the 60
/// s for which nginx keeps connections to its upstreams: the side that may reuse a connection must
/// be the side that closes it.
const HEAD: Duration = Duration::from_secs(75);
/// How long requests in progress may continue after a signal.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a connection may take to send its first bytes.
const FIRST: Duration = Duration::from_secs(10);
/// The length of a tick of [`life`].
const TICK: Duration = Duration::from_secs(1);
/// The pause after a failure to accept, which is mostly a lack of files.
const PAUSE: Duration = Duration::from_millis(200);
/// How often to check, a millisecond apart, whether an aborted connection has closed its file.
const LOOKS: usize = 100;

/// The listeners of a server.
pub(super) struct Listeners {
    /// The listener on the network.
    pub(super) tcp: TcpListener,
    /// The listener on this machine.
    pub(super) unix: Option<UnixDoor>,
}

/// The number of connections that may be open.
pub(super) struct Capacity {
    /// Connections from the network.
    pub(super) network: Limits,
    /// Connections on the Unix socket. The network cannot take these places.
    pub(super) local: usize,
    /// Connections for health checks when the network has no free place.
    pub(super) reserve: usize,
}

enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream),
}

/// Serves until draining is complete. If `state` is given, requests that memory can answer bypass
/// the router. If `managing` is given, its threads answer everything but verifications.
pub(super) async fn serve(
    listeners: Listeners,
    state: Option<AppState>,
    router: Router,
    managing: Option<Managing>,
    capacity: Capacity,
    mut drain: Drain,
) {
    let graceful = GracefulShutdown::new();
    let health = router.clone().layer(from_fn(only_health));
    let streams = Streams::new(Arc::clone(&capacity.network.proxies));
    let house = House { state, router, managing };
    let doorman = Doorman::new(house, streams.clone(), drain.clone());
    let few = |all| Limits { all, of_address: all, proxies: Arc::default() };
    let local = Places::new(few(capacity.local));
    let health = House { state: None, router: health, managing: None };
    // On these places, an address without a free stream can still check whether the server runs.
    let spare = Streams::new(Arc::default());
    let reserve = (Doorman::new(health, spare, drain.clone()), Places::new(few(capacity.reserve)));
    let network = Places::new(capacity.network);
    let mut seconds = interval(TICK);
    let mut spare = spare_file();
    loop {
        let accepted = tokio::select! {
            accepted = listeners.accept() => accepted,
            _ = seconds.tick() => {
                life::tick();
                if streams.are_short() {
                    let streams = streams.clone();
                    spawn_blocking(move || streams.rank());
                }
                continue;
            }
            () = drain.begun() => break,
        };
        let accepted = match accepted {
            Ok(accepted) => Ok(accepted),
            Err(error) if lacks_files(&error) => {
                let accepted = listeners.accept_with(&mut spare).await;
                let rooms = [&network, &reserve.1, &local];
                match accepted {
                    Some(Ok(accepted)) if free_a_file(rooms).await => Ok(accepted),
                    Some(Err(error)) => Err(error),
                    // Either no connection was waiting, or every connection is answering requests
                    // and the new one is refused.
                    Some(Ok(_)) | None => {
                        spare = spare_file();
                        continue;
                    }
                }
            }
            Err(error) => Err(error),
        };
        if spare.is_none() {
            spare = spare_file();
        }
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::select! {
                    () = sleep(PAUSE) => continue,
                    () = drain.begun() => break,
                }
            }
        };
        let watcher = graceful.watcher();
        match accepted {
            Accepted::Tcp(stream, peer) => {
                if let Some(place) = network.take(peer) {
                    doorman.clone().admit(&network, stream, peer, watcher, place);
                } else if let Some(place) = reserve.1.take(peer) {
                    reserve.0.clone().admit(&reserve.1, stream, peer, watcher, place);
                }
            }
            Accepted::Unix(stream) => {
                if let Some(place) = local.take(Peer::Local) {
                    doorman.clone().admit(&local, stream, Peer::Local, watcher, place);
                }
            }
        }
    }
    drop(listeners);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in progress after {} s", DRAIN.as_secs());
    }
}

/// Opens a file that is given up for a connection when no other file is available.
fn spare_file() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Reports whether the process or the system has run out of files.
fn lacks_files(error: &io::Error) -> bool {
    let codes = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Closes the longest idle connection of the first of these that has one, and waits until its file
/// is closed.
async fn free_a_file(all: [&Places; 3]) -> bool {
    let Some(task) = all.into_iter().find_map(Places::end_longest_idle) else { return false };
    for _ in 0..LOOKS {
        if task.is_finished() {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    true
}

/// The parts that serve a connection.
#[derive(Clone)]
struct Doorman {
    two: http2::Builder<TokioExecutor>,
    house: Arc<House>,
    streams: Streams,
    drain: Drain,
}

/// The parts that answer requests.
struct House {
    state: Option<AppState>,
    router: Router,
    /// The separate threads for everything but verifications, if they exist.
    managing: Option<Managing>,
}

impl Doorman {
    fn new(house: House, streams: Streams, drain: Drain) -> Self {
        Self { two: two::builder(), house: Arc::new(house), streams, drain }
    }

    /// Spawns a task that serves a connection with this place.
    fn admit<S>(self, places: &Places, stream: S, peer: Peer, watcher: Watcher, place: Place)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let number = place.number();
        let task = tokio::spawn(self.attend(stream, peer, watcher, place));
        places.served_by(number, task.abort_handle());
    }

    /// Serves a connection until it closes. A disconnecting peer is not logged.
    async fn attend<S>(mut self, stream: S, peer: Peer, _watcher: Watcher, place: Place)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let looked = tokio::select! {
            // Bytes that have already arrived are answered even while draining, so this branch is
            // first.
            biased;
            looked = timeout(FIRST, preface::look(stream)) => looked,
            () = self.drain.begun() => return,
        };
        let Ok(Ok((version, stream))) = looked else { return };
        let life = place.life();
        let visit = Arc::new(Visit { house: self.house, peer, awaited: life.awaited() });
        let answer = move |request| Arc::clone(&visit).answer(request);
        match version {
            Version::One => one::serve(stream, answer, self.drain, HEAD, life).await,
            // Boxed, so that HTTP/1.1 connections don't need as much memory.
            Version::Two => {
                let streams = self.streams.connect(peer);
                Box::pin(two::serve(&self.two, stream, answer, streams, self.drain, (HEAD, life)))
                    .await;
            }
        }
    }
}

/// Answers health checks normally and everything else with 503, because no place is free.
async fn only_health(request: axum::extract::Request, next: Next) -> Response {
    let mut response = if health::is_check(request.uri().path()) {
        next.run(request).await
    } else {
        super::gate::try_later(
            ProblemCode::Busy,
            "All connections that Tessera can serve are in use. Nothing was changed. Try again.",
        )
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A connection, from the point of view of its requests.
struct Visit {
    house: Arc<House>,
    peer: Peer,
    awaited: Awaited,
}

impl Visit {
    /// Answers from memory if possible, otherwise by the router. The router's future is boxed, so
    /// that answers from memory need less memory.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let answered = match &self.house.state {
            Some(state) => remembered::answer(state, self.peer, request).await,
            None => Err(request.map(Body::new)),
        };
        match answered {
            Ok(answer) => answer,
            Err(mut request) => {
                request.extensions_mut().insert(self.peer);
                request.extensions_mut().insert(self.awaited.clone());
                let house = &self.house;
                let managing =
                    house.managing.as_ref().filter(|_| Managing::answers(request.uri().path()));
                let router = house.router.clone();
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
    async fn accept(&self) -> io::Result<Accepted> {
        match &self.unix {
            None => self.accept_tcp().await,
            Some(door) => tokio::select! {
                accepted = self.accept_tcp() => accepted,
                accepted = accept_unix(door) => accepted,
            },
        }
    }

    /// Accepts a connection with the spare file's descriptor. Returns `None` if no connection is
    /// waiting: the system reports a lack of files even then.
    async fn accept_with(&self, spare: &mut Option<File>) -> Option<io::Result<Accepted>> {
        *spare = None;
        tokio::select! {
            biased;
            accepted = self.accept() => Some(accepted),
            () = ready(()) => None,
        }
    }

    async fn accept_tcp(&self) -> io::Result<Accepted> {
        let (stream, peer) = self.tcp.accept().await?;
        // Responses are small and must not wait for more data.
        let _ = stream.set_nodelay(true);
        Ok(Accepted::Tcp(stream, Peer::Network(peer.ip())))
    }
}

async fn accept_unix(door: &UnixDoor) -> io::Result<Accepted> {
    let (stream, _) = door.listener().accept().await?;
    Ok(Accepted::Unix(stream))
}
