//! Limits the requests of strangers (callers without a valid credential) in progress, in the whole process and
//! for one address.
//!
//! A peer that opens many streams, and neither completes its requests nor reads the answers, would keep the
//! memory of all of them. So a stranger's request needs a place while its body is awaited ([`enter`]), and
//! from the moment its answer is ready until the connection took the last byte of it ([`keep`]). An answer
//! that is not taken within [`PATIENCE`] is dropped, and its stream is reset. Without a place the answer is a
//! 503 without a body, which takes no memory on a connection that nobody reads. Callers who were authenticated
//! (`body::admit`) need no place: strangers take nothing from them. The routes that gateways ask are left out,
//! because their answers are small.

use std::{
    collections::HashMap,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::problem::{Problem, ProblemCode};
use http::{Extensions, StatusCode, header};
use hyper::body::Body as _;

use super::{
    AppState,
    answer::X_REQUEST_ID,
    bodies::network,
    client_ip::{client_ip, peer},
    patient::{Patience, Patient},
    problem::ApiError,
};

/// Requests of strangers at a time.
const ALL: usize = 1_024;
/// Those of one address, or of one network of IPv6.
const OF_ADDRESS: usize = 128;
/// The longest that an answer to a stranger waits until its peer takes it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds after which a stranger may try again.
const AGAIN_S: u64 = 1;

/// The places for requests of strangers.
#[derive(Clone, Debug)]
pub(crate) struct Strangers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: usize,
    of_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// A place, given back when dropped.
#[derive(Debug)]
struct Place {
    strangers: Strangers,
    address: Option<IpAddr>,
}

/// A request that may need a place.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    strangers: Strangers,
    address: Option<IpAddr>,
    place: Arc<Mutex<Need>>,
}

/// Whether a request needs a place.
#[derive(Debug)]
enum Need {
    /// Not yet.
    Later,
    /// It has one.
    Taken(Place),
    /// Its caller is known.
    Never,
}

impl Default for Strangers {
    fn default() -> Self {
        Self::new(ALL, OF_ADDRESS)
    }
}

impl Strangers {
    fn new(all: usize, of_address: usize) -> Self {
        Self(Arc::new(Inner { all, of_address, taken: Mutex::default() }))
    }

    /// Returns a place for a request from this address. Unknown addresses share only the limit of all.
    fn enter(&self, address: Option<IpAddr>) -> Option<Place> {
        let address = address.map(network);
        let mut taken = self.taken();
        if taken.all >= self.0.all {
            return None;
        }
        if let Some(address) = address {
            let of = taken.of.entry(address).or_default();
            if *of >= self.0.of_address {
                return None;
            }
            *of += 1;
        }
        taken.all += 1;
        drop(taken);
        Some(Place { strangers: self.clone(), address })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.strangers.taken();
        taken.all -= 1;
        if let Some(address) = self.address
            && let Some(of) = taken.of.get_mut(&address)
        {
            *of -= 1;
            if *of == 0 {
                taken.of.remove(&address);
            }
        }
    }
}

/// Marks each request as one that needs a place, until its caller is known.
pub(crate) async fn count(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let extensions = request.extensions();
    let address = client_ip(peer(extensions), request.headers(), &state.trusted_proxies);
    let guest = Guest {
        strangers: state.strangers.clone(),
        address,
        place: Arc::new(Mutex::new(Need::Later)),
    };
    request.extensions_mut().insert(guest.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(guest);
    response
}

/// Gives back the place of a request whose caller is known now.
pub(super) fn release(extensions: &Extensions) {
    if let Some(guest) = extensions.get::<Guest>() {
        *guest.need() = Need::Never;
    }
}

/// The request, as one that may need a place.
pub(super) fn guest(extensions: &Extensions) -> Option<Guest> {
    extensions.get().cloned()
}

/// Takes a place for a request, unless it has or needs none.
pub(super) fn enter(extensions: &Extensions) -> Result<(), ApiError> {
    extensions.get::<Guest>().map_or(Ok(()), Guest::enter)
}

/// Keeps a stranger's place until the answer was sent or was waiting for too long. Nothing may buffer the
/// answer after this.
pub(crate) fn keep(mut response: Response) -> Response {
    let Some(guest) = response.extensions_mut().remove::<Guest>() else { return response };
    if response.body().is_end_stream() {
        return response;
    }
    if guest.enter().is_err() {
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        refusal.headers_mut().insert(header::RETRY_AFTER, AGAIN_S.into());
        if let Some(id) = response.headers_mut().remove(X_REQUEST_ID) {
            refusal.headers_mut().insert(X_REQUEST_ID, id);
        }
        return refusal;
    }
    let need = mem::replace(&mut *guest.need(), Need::Never);
    match need {
        Need::Taken(place) => {
            response.map(|body| Patient::body(body, place, Patience::InAll(PATIENCE)))
        }
        Need::Later | Need::Never => response,
    }
}

impl Guest {
    /// Takes a place, unless it has or needs none.
    pub(super) fn enter(&self) -> Result<(), ApiError> {
        let mut need = self.need();
        if matches!(*need, Need::Later) {
            *need = Need::Taken(self.strangers.enter(self.address).ok_or_else(full)?);
        }
        Ok(())
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

    #[test]
    fn address_has_a_part_and_all_have_the_whole() {
        let strangers = Strangers::new(3, 2);
        let first = strangers.enter(Some(ONE)).unwrap();
        let _second = strangers.enter(Some(ONE)).unwrap();
        assert!(strangers.enter(Some(ONE)).is_none());
        let other = strangers.enter(Some([10, 0, 0, 1].into())).unwrap();
        assert!(strangers.enter(None).is_none());
        drop(other);
        drop(first);
        strangers.enter(Some(ONE)).unwrap();
    }

    #[tokio::test]
    async fn place_is_kept_until_the_answer_was_read() {
        let strangers = Strangers::new(1, 1);
        let response = answer(guest(&strangers));
        assert!(strangers.enter(Some(ONE)).is_none());
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&text[..], b"a page");
        assert!(strangers.enter(Some(ONE)).is_some());
        assert!(strangers.taken().of.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_nobody_takes_is_dropped() {
        let strangers = Strangers::new(1, 1);
        let mut response = answer(guest(&strangers));
        sleep(PATIENCE + Duration::from_secs(1)).await;
        assert!(strangers.enter(Some(ONE)).is_some());
        assert!(response.body_mut().frame().await.unwrap().is_err());
    }

    #[test]
    fn caller_who_is_known_gives_the_place_back_and_needs_none() {
        let strangers = Strangers::new(1, 1);
        let mut extensions = Extensions::new();
        extensions.insert(guest(&strangers));
        enter(&extensions).unwrap();
        assert!(strangers.enter(Some(ONE)).is_none());
        release(&extensions);
        let _crowd = strangers.enter(Some(ONE)).unwrap();
        enter(&extensions).unwrap();
        assert_eq!(answer(extensions.remove().unwrap()).status(), StatusCode::OK);
        let refusal = answer(guest(&strangers));
        assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refusal.body().is_end_stream());
    }
}
