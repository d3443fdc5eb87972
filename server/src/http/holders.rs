//! Limits what a known caller keeps of the server: its share of the database ([`authority::Holder`]), and
//! answers that it does not take.
//!
//! Each answer that does not go out in one piece has its bytes counted until the connection took all of it. When there
//! is no room, the answer whose peer is slowest is dropped ([`patient`]): of the holder's own answers, or of those of a
//! holder that has more ([`Room`]). A large answer has a place as well. When its holder has none left, 429 is
//! answered instead. The answer to a change is sent in any case: a change is refused before it is made when too much of
//! the answers to its caller's changes waits. An answer of which nothing is taken for [`PATIENCE`] is dropped, too.
//!
//! An answer in one piece costs no more than its stream, and streams are counted where the connection is served.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use authority::Holder;
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use domain::problem::{Problem, ProblemCode};
use http::Extensions;
use hyper::body::Body as _;
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    AppState,
    client_ip::{client_ip, peer},
    patient::{self, PIECE, Patience, Patient},
    problem::ApiError,
    room::{Full, Leaving, Party, Room, Seat, network},
};

/// Large answers of one holder at a time: a workspace's tokens are one, a person is another.
const OF_HOLDER: usize = 32;
/// A smaller answer needs no place. One of an unknown size counts as having this size.
const LARGE: usize = 64 * 1024;
/// Bytes of answers of all holders, and of one, that were not taken yet. Answers to changes are not among them.
const UNREAD: (usize, usize) = (64 * MIB, 16 * MIB);
/// Bytes of answers to the changes of one caller that were not taken yet.
const OF_CHANGES: usize = 4 * MIB;
const MIB: usize = 1024 * 1024;
/// The longest that an answer waits until its caller takes some more of it.
const PATIENCE: Duration = Duration::from_mins(1);

/// The answers that were not taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// The bytes of those that change nothing.
    unread: Room,
    /// The number of the large ones of a holder; the bytes of those to a caller's changes.
    places: Arc<Mutex<HashMap<For, usize>>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { unread: Room::new(UNREAD.0, UNREAD.1), places: Arc::default() }
    }
}

/// The owner of an answer's place: the holder in general, or one caller for its changes, so that a token whose
/// answers wait keeps nobody else of its workspace from revoking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum For {
    Holder(Uuid),
    Changes(Uuid),
}

impl For {
    const fn limit(self) -> usize {
        match self {
            Self::Holder(_) => OF_HOLDER,
            Self::Changes(_) => OF_CHANGES,
        }
    }
}

/// A place, given back when dropped.
struct Place {
    answers: Answers,
    of: For,
    units: usize,
}

/// The place and the bytes of an answer until it was taken.
struct Kept {
    /// `None` for the answer to a change.
    seat: Option<Seat>,
    _place: Option<Place>,
}

impl patient::Place for Kept {
    fn moved(&self, bytes: usize) {
        if let Some(seat) = &self.seat {
            seat.moved(bytes);
        }
    }

    fn leaving(&self) -> Option<Leaving> {
        self.seat.as_ref().map(Seat::leaving)
    }
}

impl Answers {
    fn places(&self) -> MutexGuard<'_, HashMap<For, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, of: For) -> bool {
        self.places().get(&of).is_none_or(|sum| *sum < of.limit())
    }

    /// Takes a place. A change has one in any case.
    fn enter(&self, of: For, units: usize) -> Option<Place> {
        let mut places = self.places();
        let sum = places.entry(of).or_default();
        if *sum >= of.limit() && matches!(of, For::Holder(_)) {
            return None;
        }
        *sum += units;
        drop(places);
        Some(Place { answers: self.clone(), of, units })
    }

    /// Counts an answer that does not go out in one piece.
    fn keep(&self, of: For, response: Response) -> Response {
        let size = response.body().size_hint().exact();
        let size = size.map_or(LARGE, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size <= PIECE {
            return response;
        }
        match self.room(of, size) {
            Ok(kept) => {
                response.map(|body| Patient::body(body, kept, Patience::EachTime(PATIENCE)))
            }
            Err(refusal) => refusal.into_response(),
        }
    }

    /// Counts an answer to a question of this holder, given from memory, that does not go out in one piece.
    ///
    /// # Errors
    /// `Busy` when there is no room.
    pub(super) fn keep_whole(&self, holder: Uuid, bytes: Bytes) -> Result<Body, ApiError> {
        let kept = self.room(For::Holder(holder), bytes.len())?;
        Ok(Patient::body(Body::from(bytes), kept, Patience::EachTime(PATIENCE)))
    }

    fn room(&self, of: For, size: usize) -> Result<Kept, ApiError> {
        let For::Holder(holder) = of else {
            return Ok(Kept { seat: None, _place: self.enter(of, size) });
        };
        let place = if size < LARGE { None } else { Some(self.enter(of, 1).ok_or_else(full)?) };
        let seat = self.unread.seat(Party::Holder(holder));
        seat.take(size.min(UNREAD.1)).map_err(|Full| crowded())?;
        Ok(Kept { seat: Some(seat), _place: place })
    }
}

/// Whether an answer of this size goes out in one piece, and needs no room.
pub(super) const fn is_piece(size: usize) -> bool {
    size <= PIECE
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.answers.places();
        if let Some(sum) = places.get_mut(&self.of) {
            *sum -= self.units;
            if *sum == 0 {
                places.remove(&self.of);
            }
        }
    }
}

/// A request whose holder becomes known on the way.
#[derive(Clone)]
struct Held {
    holder: Holder,
    changes: bool,
    answers: Answers,
    of: Arc<OnceLock<For>>,
}

impl Held {
    fn new(answers: Answers, holder: Holder, changes: bool) -> Self {
        Self { holder, changes, answers, of: Arc::default() }
    }

    async fn answer(self, mut request: Request, next: Next) -> Response {
        request.extensions_mut().insert(self.clone());
        let response = self.holder.clone().scope(next.run(request)).await;
        match self.of.get() {
            Some(of) => self.answers.keep(*of, response),
            None => response,
        }
    }
}

/// Answers a request for its holder, and until that is known for a stranger at its address.
pub(crate) async fn hold(
    State(AppState { answers, trusted_proxies, .. }): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let changes = !request.method().is_safe();
    let address = client_ip(peer(request.extensions()), request.headers(), &trusted_proxies);
    let workspace = workspace(request.uri().path());
    let holder = Holder::about(address.map(network), workspace.as_deref());
    Held::new(answers, holder, changes).answer(request, next).await
}

/// Returns the name of the workspace that a path is about, in the API or the console, as routes read it: another
/// encoding of it is no other workspace.
fn workspace(path: &str) -> Option<Cow<'_, str>> {
    let name = path.split('/').skip_while(|segment| *segment != "workspaces").nth(1)?;
    form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name)
}

/// Answers a question, which changes nothing whatever its method is.
pub(crate) async fn hold_question(
    State(AppState { answers, .. }): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    Held::new(answers, Holder::default(), false).answer(request, next).await
}

/// Notes whose request this is, and who calls. Refuses a change while too many answers to this caller's changes
/// wait.
pub(super) fn identify(extensions: &Extensions, id: Uuid, caller: Uuid) -> Result<(), ApiError> {
    let Some(held) = extensions.get::<Held>() else { return Ok(()) };
    held.holder.identify(id);
    let of = if held.changes { For::Changes(caller) } else { For::Holder(id) };
    if held.changes && !held.answers.has_room(of) {
        return Err(full());
    }
    let _ = held.of.set(of);
    Ok(())
}

fn full() -> ApiError {
    let mut problem = Problem::new(
        ProblemCode::RateLimited,
        "You have too many unread responses. Read or close them, then try again.",
    );
    problem.retry_after_s = Some(1);
    problem.into()
}

fn crowded() -> ApiError {
    let detail = "The server holds too many responses that clients have not read yet. Try again in a second.";
    let mut problem = Problem::new(ProblemCode::Busy, detail);
    problem.retry_after_s = Some(1);
    problem.into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::time::sleep;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    fn large() -> Response {
        Response::new(Body::from(vec![b'x'; 64 * 1024]))
    }

    #[tokio::test]
    async fn large_answer_has_a_place_until_it_was_read() {
        let answers = Answers::default();
        let keep = |of, response| answers.keep(of, response);
        let mut unread: Vec<Response> =
            (0..OF_HOLDER).map(|_| keep(For::Holder(ONE), large())).collect();
        let refused = keep(For::Holder(ONE), large());
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        // Small answers, answers to changes, and those to others go out.
        let small = Response::new(Body::from("small"));
        assert_eq!(keep(For::Holder(ONE), small).status(), 200);
        assert_eq!(keep(For::Changes(ONE), large()).status(), 200);
        assert_eq!(keep(For::Holder(TWO), large()).status(), 200);
        let body = unread.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), 64 * 1024);
        assert_eq!(keep(For::Holder(ONE), large()).status(), 200);
        drop(unread);
        assert!(answers.places().is_empty());
    }

    #[tokio::test]
    async fn bytes_of_answers_that_nobody_reads_give_way_to_answers_of_the_same_holder() {
        let answers = Answers::default();
        let ask = |of| answers.keep(of, Response::new(Body::from(vec![b'x'; 60 * 1024])));
        let other = ask(For::Holder(TWO));
        let mut unread: Vec<Response> = (0..400).map(|_| ask(For::Holder(ONE))).collect();
        assert!(unread.iter().all(|response| response.status() == 200));
        // The tasks that drop answers.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut whole = 0;
        for response in &mut unread {
            let mut read = 0;
            while let Some(Ok(frame)) = response.body_mut().frame().await {
                read += frame.into_data().unwrap().len();
            }
            assert!(read == 0 || read == 60 * 1024, "{read}");
            whole += read;
        }
        assert!(whole <= UNREAD.1 && whole > UNREAD.1 - 60 * 1024, "{whole}");
        assert_eq!(other.into_body().collect().await.unwrap().to_bytes().len(), 60 * 1024);
    }

    #[tokio::test]
    async fn piece_of_an_answer_keeps_no_more_than_itself() {
        let answers = Answers::default();
        let bytes = Bytes::from(vec![b'x'; 60 * 1024]);
        let whole = bytes.as_ptr_range();
        let mut body = answers.keep_whole(ONE, bytes).unwrap();
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!whole.contains(&piece.as_ptr()));
    }

    #[tokio::test]
    async fn large_answer_goes_out_in_pieces_and_whole() {
        let answers = Answers::default();
        let bytes: Vec<u8> = (0..5 * PIECE + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut response = answers.keep(For::Holder(ONE), Response::new(Body::from(bytes.clone())));
        let mut arrived = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE);
            arrived.extend_from_slice(&piece);
            let left = (bytes.len() - arrived.len()) as u64;
            assert_eq!(response.body().size_hint().exact(), Some(left));
            assert_eq!(response.body().is_end_stream(), left == 0);
        }
        assert!(arrived == bytes);
    }

    #[test]
    fn change_is_refused_before_it_is_made_while_too_many_answers_wait() {
        let answers = Answers::default();
        let ask = |changes, caller| {
            let mut extensions = Extensions::new();
            extensions.insert(Held::new(answers.clone(), Holder::default(), changes));
            identify(&extensions, ONE, caller)
        };
        let unread: Vec<_> =
            (0..64).map(|_| answers.enter(For::Changes(ONE), OF_CHANGES / 64)).collect();
        // The answer to a change that was begun before is sent.
        assert!(answers.enter(For::Changes(ONE), LARGE).is_some());
        let refused = ask(true, ONE).unwrap_err();
        assert_eq!(refused.problem().code, ProblemCode::RateLimited);
        ask(false, ONE).unwrap();
        ask(true, TWO).unwrap();
        drop(unread);
        ask(true, ONE).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn answer_of_which_nothing_is_taken_is_dropped() {
        let answers = Answers::default();
        let mut response = answers.keep(For::Holder(ONE), large());
        sleep(PATIENCE + Duration::from_secs(1)).await;
        assert!(answers.places().is_empty());
        assert!(response.body_mut().frame().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_is_taken_slowly_goes_on() {
        use std::convert::Infallible;
        let answers = Answers::default();
        let pieces = futures::stream::repeat(Ok::<_, Infallible>("piece"));
        let mut response = answers.keep(For::Holder(ONE), Response::new(Body::from_stream(pieces)));
        for _ in 0..10 {
            sleep(PATIENCE / 2).await;
            assert!(response.body_mut().frame().await.unwrap().is_ok());
        }
    }

    #[test]
    fn workspace_of_a_path_is_the_one_that_routes_read() {
        for (path, name) in [
            ("/api/v1/workspaces/ws/tokens", Some("ws")),
            ("/api/v1/workspaces/%77%73/tokens", Some("ws")),
            ("/workspaces/ws", Some("ws")),
            ("/api/v1/workspaces", None),
            ("/api/v1/workspaces/", None),
            ("/api/v1/tokens/x", None),
        ] {
            assert_eq!(workspace(path).as_deref(), name, "{path}");
        }
    }
}
