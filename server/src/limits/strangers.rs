//! Limits the concurrent requests of strangers (callers without a valid credential), in the whole
//! process and for each address.
//!
//! A peer that opens many streams, and neither completes its requests nor reads the responses,
//! would keep all of them in memory. So a stranger's request needs a place while it waits for its
//! body ([`wait`]), before a page is rendered for it ([`Guest::turn`]), and at the latest when its
//! response is ready, until the connection has taken its last byte ([`keep`]). A response that is
//! not read within [`PATIENCE`] is dropped ([`patient`](super::patient)). Without a place, the
//! response is a 503 without a body, which takes no memory on a connection that is not read.
//!
//! If all places are taken, a request that only waits for its peer gives up its place ([`Room`]):
//! strangers that send nothing and read nothing cannot keep others out. Authenticated callers
//! (`body::admit`) need no place, and strangers take nothing from them. The routes that gateways
//! call are exempt, because their responses are small.

use std::{
    future,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authority::{Turn, Turns};
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::problem::{Problem, ProblemCode};
use http::{Extensions, StatusCode, header};
use hyper::body::Body as _;
use ipnet::IpNet;
use tokio::time::timeout;

use super::{
    patient::{Patience, Patient},
    room::{Full, Party, Room, Seat, network},
};
use crate::{
    problem::ApiError,
    request::{
        client_ip::{client_ip, peer},
        id::X_REQUEST_ID,
    },
};

/// Maximum number of concurrent requests of strangers.
const ALL: usize = 1_024;
/// Maximum number for one address, or for one IPv6 network.
const OF_ADDRESS: usize = 128;
/// How long a response to a stranger waits until its peer reads it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds after which a stranger may try again.
const AGAIN_S: u64 = 1;

/// How long a stranger waits for a turn.
const LINE: Duration = Duration::from_secs(3);

/// The places for requests of strangers, and the turns to render pages for them.
#[derive(Clone, Debug)]
pub(crate) struct Strangers {
    room: Room,
    turns: Arc<Turns<Option<IpAddr>>>,
}

/// A request that may need a place.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    strangers: Strangers,
    address: Option<IpAddr>,
    place: Arc<Mutex<Need>>,
}

/// Whether a request needs a place.
#[derive(Debug)]
enum Need {
    /// Not yet.
    Later,
    /// It has one, or had to give it up.
    Taken(Arc<Seat>),
    /// Never, because its caller is authenticated.
    Never,
}

/// A request that waits for its peer, and may have to give up its place, until dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Seat>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.work();
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self::new(ALL, OF_ADDRESS)
    }
}

impl Strangers {
    fn new(all: usize, of_address: usize) -> Self {
        // Half of the threads that render pages are reserved for authenticated callers.
        let half = std::thread::available_parallelism().map_or(1, |threads| threads.get() / 2);
        let turns = Arc::new(Turns::new(half, half / 2));
        Self { room: Room::new(all, of_address), turns }
    }

    /// Returns a place for a request from this address. Only the total limits unknown addresses.
    fn enter(&self, address: Option<IpAddr>) -> Result<Arc<Seat>, Full> {
        let seat = self.room.seat(Party::stranger(address));
        seat.take(1)?;
        seat.work();
        Ok(Arc::new(seat))
    }
}

/// Marks each request as one that needs a place until its caller is authenticated.
pub(crate) async fn count(
    State(strangers): State<Strangers>,
    State(trusted_proxies): State<Arc<[IpNet]>>,
    mut request: Request,
    next: Next,
) -> Response {
    let extensions = request.extensions();
    let address = client_ip(peer(extensions), request.headers(), &trusted_proxies);
    let guest = Guest { strangers, address, place: Arc::new(Mutex::new(Need::Later)) };
    request.extensions_mut().insert(guest.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(guest);
    response
}

/// Gives back the place of a request whose caller has been authenticated.
pub(crate) fn release(extensions: &Extensions) {
    if let Some(guest) = extensions.get::<Guest>() {
        *guest.need() = Need::Never;
    }
}

/// Returns the request's [`Guest`], if it may need a place.
pub(crate) fn guest(extensions: &Extensions) -> Option<Guest> {
    extensions.get().cloned()
}

/// Takes a place for a request that waits for its peer, unless it needs none.
pub(crate) fn wait(extensions: &Extensions) -> Result<Option<Waiting>, ApiError> {
    extensions.get::<Guest>().map_or(Ok(None), Guest::wait)
}

/// Resolves when a request has to give up its place.
pub(crate) async fn gave_way(waiting: Option<&Waiting>) -> ApiError {
    match waiting {
        Some(Waiting(seat)) => {
            seat.gave_way().await;
            full()
        }
        None => future::pending().await,
    }
}

/// Keeps a stranger's place until the response has been sent or has waited too long. No later layer
/// may buffer the response.
pub(crate) fn keep(mut response: Response) -> Response {
    let Some(guest) = response.extensions_mut().remove::<Guest>() else { return response };
    if response.body().is_end_stream() {
        return response;
    }
    match guest.enter() {
        Ok(Some(seat)) => {
            *guest.need() = Need::Never;
            seat.wait();
            response.map(|body| Patient::body(body, seat, Patience::InAll(PATIENCE)))
        }
        Ok(None) => response,
        Err(_) => {
            let mut refusal = Response::new(Body::empty());
            *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            refusal.headers_mut().insert(header::RETRY_AFTER, AGAIN_S.into());
            if let Some(id) = response.headers_mut().remove(X_REQUEST_ID) {
                refusal.headers_mut().insert(X_REQUEST_ID, id);
            }
            refusal
        }
    }
}

impl Guest {
    /// Takes a place, unless the request needs none.
    ///
    /// # Errors
    /// `Busy` if no place is free, or if the request had to give up its place.
    fn enter(&self) -> Result<Option<Arc<Seat>>, ApiError> {
        let mut need = self.need();
        match &*need {
            Need::Later => {
                let seat = self.strangers.enter(self.address).map_err(|Full| full())?;
                *need = Need::Taken(Arc::clone(&seat));
                Ok(Some(seat))
            }
            Need::Taken(seat) if seat.is_gone() => Err(full()),
            Need::Taken(seat) => Ok(Some(Arc::clone(seat))),
            Need::Never => Ok(None),
        }
    }

    /// Takes a place, unless the request needs none, and waits for the peer.
    pub(crate) fn wait(&self) -> Result<Option<Waiting>, ApiError> {
        let seat = self.enter()?;
        Ok(seat.map(|seat| {
            seat.wait();
            Waiting(seat)
        }))
    }

    /// Takes a place, unless the request needs none, and waits for a turn to render a page.
    ///
    /// # Errors
    /// `Busy` if no place is free, if the request had to give up its place, or after [`LINE`].
    pub(crate) async fn turn(&self) -> Result<Turn, ApiError> {
        let waiting = self.wait()?;
        let turn = self.strangers.turns.take(self.address.map(network));
        tokio::select! {
            turn = timeout(LINE, turn) => turn.ok().flatten().ok_or_else(full),
            refusal = gave_way(waiting.as_ref()) => Err(refusal),
        }
    }

    fn need(&self) -> MutexGuard<'_, Need> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full() -> ApiError {
    let mut problem = Problem::new(
        ProblemCode::Busy,
        "Too many requests without a valid credential are in progress. Try again.",
    );
    problem.retry_after_s = Some(AGAIN_S);
    problem.into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::time::sleep;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn guest(strangers: &Strangers) -> Guest {
        let place = Arc::new(Mutex::new(Need::Later));
        Guest { strangers: strangers.clone(), address: Some(ONE), place }
    }

    fn answer(guest: Guest) -> Response {
        let mut response = Response::new(Body::from("a page"));
        response.extensions_mut().insert(guest);
        keep(response)
    }

    /// A place that is in use.
    fn enter(strangers: &Strangers, host: u8) -> Option<Arc<Seat>> {
        strangers.enter(Some([192, 0, 2, host].into())).ok()
    }

    #[tokio::test]
    async fn address_gets_at_most_its_limit_and_half_of_the_free_places() {
        let strangers = Strangers::new(6, 2);
        let first = enter(&strangers, 1).unwrap();
        let _second = enter(&strangers, 1).unwrap();
        assert!(enter(&strangers, 1).is_none());
        let _others = [2, 2, 3].map(|host| enter(&strangers, host).unwrap());
        assert!(enter(&strangers, 4).is_none() && strangers.enter(None).is_err());
        drop(first);
        enter(&strangers, 4).unwrap();
    }

    #[tokio::test]
    async fn place_is_held_until_the_response_is_read() {
        let strangers = Strangers::new(2, 1);
        let response = answer(guest(&strangers));
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&text[..], b"a page");
        assert!(strangers.enter(Some(ONE)).is_ok());
    }

    #[tokio::test]
    async fn waiting_request_is_evicted_but_one_in_progress_is_not() {
        let strangers = Strangers::new(4, 2);
        let crowd = [guest(&strangers), guest(&strangers)];
        let waiting = crowd[0].wait().unwrap();
        crowd[1].enter().unwrap();
        let third = guest(&strangers);
        let _third = third.wait().unwrap();
        assert_eq!(gave_way(waiting.as_ref()).await.problem().status, 503);
        assert!(crowd[0].wait().is_err());
        // There is no place for the refusal either.
        assert!(answer(crowd[0].clone()).body().is_end_stream());
        assert_eq!(answer(crowd[1].clone()).status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn page_is_rendered_only_for_a_request_with_a_place() {
        let strangers = Strangers::new(2, 1);
        let (first, second) = (guest(&strangers), guest(&strangers));
        let turn = first.turn().await.unwrap();
        assert_eq!(second.turn().await.err().unwrap().problem().status, 503);
        drop(turn);
        assert!(second.turn().await.is_err(), "the first response is unread");
        drop(first);
        guest(&strangers).turn().await.unwrap();
    }

    #[tokio::test]
    async fn unread_response_is_evicted_for_a_new_request() {
        let strangers = Strangers::new(4, 1);
        let mut response = answer(guest(&strangers));
        let other = guest(&strangers);
        let _waiting = other.wait().unwrap();
        // Run the task that drops the response.
        tokio::task::yield_now().await;
        assert!(response.body_mut().frame().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn unread_response_is_dropped_after_a_timeout() {
        let strangers = Strangers::new(2, 1);
        let mut response = answer(guest(&strangers));
        sleep(PATIENCE + Duration::from_secs(1)).await;
        assert!(strangers.enter(Some(ONE)).is_ok());
        assert!(response.body_mut().frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn authenticated_caller_releases_its_place_and_needs_none() {
        let strangers = Strangers::new(2, 1);
        let mut extensions = Extensions::new();
        extensions.insert(guest(&strangers));
        drop(wait(&extensions).unwrap());
        assert!(strangers.enter(Some(ONE)).is_err());
        release(&extensions);
        let _crowd = strangers.enter(Some(ONE)).unwrap();
        assert!(wait(&extensions).unwrap().is_none());
        assert_eq!(answer(extensions.remove().unwrap()).status(), StatusCode::OK);
        let refusal = answer(guest(&strangers));
        assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refusal.body().is_end_stream());
    }
}
