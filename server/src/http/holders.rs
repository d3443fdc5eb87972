//! Limits what a known caller keeps of the server: its share of the database ([`authority::Holder`]), and
//! answers that it does not take.
//!
//! A large answer has a place until the connection took all of it. When its holder has no place left, the
//! answer to a request that changes nothing is dropped, and 429 is answered instead. The answer to a change is
//! sent in any case: a change is refused before it is made when too many answers to its caller's changes wait.
//! An answer of which nothing is taken for [`PATIENCE`] is dropped, too, and its stream is reset.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use authority::Holder;
use axum::{
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
    patient::{self, Patience, Patient},
    problem::ApiError,
    room::network,
};

/// Large answers of one holder at a time: a workspace's tokens are one, a person is another.
const OF_HOLDER: usize = 32;
/// A smaller answer needs no place.
const LARGE: u64 = 64 * 1024;
/// The longest that an answer waits until its caller takes some more of it.
const PATIENCE: Duration = Duration::from_mins(1);

/// The large answers that were not taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Mutex<HashMap<For, usize>>>);

/// The owner of an answer's place: the holder in general, or one caller for its changes, so that a token whose
/// answers wait keeps nobody else of its workspace from revoking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum For {
    Holder(Uuid),
    Changes(Uuid),
}

/// A place, given back when dropped.
struct Place {
    answers: Answers,
    of: For,
}

impl patient::Place for Place {}

impl Answers {
    fn of(&self) -> MutexGuard<'_, HashMap<For, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, of: For) -> bool {
        self.of().get(&of).is_none_or(|count| *count < OF_HOLDER)
    }

    /// Takes a place. A change has one in any case.
    fn enter(&self, of: For) -> Option<Place> {
        let mut counts = self.of();
        let count = counts.entry(of).or_default();
        if *count >= OF_HOLDER && matches!(of, For::Holder(_)) {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { answers: self.clone(), of })
    }

    /// Gives a large answer its place.
    fn keep(&self, of: For, response: Response) -> Response {
        if response.body().size_hint().exact().is_some_and(|bytes| bytes < LARGE) {
            return response;
        }
        match self.enter(of) {
            Some(place) => {
                response.map(|body| Patient::body(body, place, Patience::EachTime(PATIENCE)))
            }
            None => full().into_response(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.answers.of();
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
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
        format!(
            "{OF_HOLDER} or more large answers for you wait to be read. Read them, then try again."
        ),
    );
    problem.retry_after_s = Some(1);
    problem.into()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tokio::time::sleep;

    use super::{super::patient::PIECE, *};

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
        assert!(answers.of().is_empty());
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
        let unread: Vec<_> = (0..OF_HOLDER).map(|_| answers.enter(For::Changes(ONE))).collect();
        // The answer to a change that was begun before is sent.
        assert!(answers.enter(For::Changes(ONE)).is_some());
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
        assert!(answers.of().is_empty());
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
