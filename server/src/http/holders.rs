//! What one known caller may keep of the server: its requests' share of the database ([`authority::Holder`]),
//! and answers that it does not take.
//!
//! A large answer of a caller has a place until the connection took all of it. Without a place, a request that
//! changes nothing is refused with 429: its answer is dropped. An answer of which nothing is taken for
//! [`PATIENCE`] is dropped, too, and its stream is reset.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
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
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{sync::oneshot, time::sleep};
use uuid::Uuid;

use super::{AppState, problem::ApiError};

/// Large answers of one holder at a time: a workspace's tokens are one, a person is another.
const OF_HOLDER: usize = 32;
/// A smaller answer needs no place.
const LARGE: u64 = 64 * 1024;
/// The longest that an answer waits until its caller takes some more of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The large answers that were not taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Mutex<HashMap<Uuid, usize>>>);

/// A place, given back when dropped.
struct Place {
    answers: Answers,
    holder: Uuid,
}

impl Answers {
    fn of(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place; `None` when all are taken, unless it is `forced`.
    fn enter(&self, holder: Uuid, forced: bool) -> Option<Place> {
        let mut of = self.of();
        let count = of.entry(holder).or_default();
        if *count >= OF_HOLDER && !forced {
            return None;
        }
        *count += 1;
        drop(of);
        Some(Place { answers: self.clone(), holder })
    }

    /// Gives a large answer its place. The answer to a change is sent in any case.
    fn keep(&self, holder: Uuid, changes: bool, response: Response) -> Response {
        if response.body().size_hint().exact().is_some_and(|bytes| bytes < LARGE) {
            return response;
        }
        match self.enter(holder, changes) {
            Some(place) => response.map(|body| Body::new(Patient::new(body, place))),
            None => full().into_response(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of = self.answers.of();
        if let Some(count) = of.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                of.remove(&self.holder);
            }
        }
    }
}

/// Answers a request for its holder, who becomes known on the way.
pub(crate) async fn hold(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let holder = Holder::default();
    let changes = !request.method().is_safe();
    request.extensions_mut().insert(holder.clone());
    let response = holder.clone().scope(next.run(request)).await;
    match holder.id() {
        Some(id) => state.answers.keep(id, changes, response),
        None => response,
    }
}

/// Notes whose request this is.
pub(super) fn identify(extensions: &Extensions, id: Uuid) {
    if let Some(holder) = extensions.get::<Holder>() {
        holder.identify(id);
    }
}

/// An answer of which its caller has to take something from time to time.
struct Patient {
    content: Arc<Mutex<Option<(Body, Place)>>>,
    taken: Arc<AtomicU64>,
    /// Ends the wait when dropped.
    _sent: oneshot::Sender<()>,
}

impl Patient {
    fn new(body: Body, place: Place) -> Self {
        let content = Arc::new(Mutex::new(Some((body, place))));
        let taken = Arc::new(AtomicU64::new(0));
        let (sent, mut was_sent) = oneshot::channel();
        let (waiting, asked) = (Arc::clone(&content), Arc::clone(&taken));
        tokio::spawn(async move {
            let mut before = None;
            loop {
                let now = asked.load(Ordering::Relaxed);
                if before == Some(now) {
                    drop(lock(&waiting).take());
                    return;
                }
                before = Some(now);
                tokio::select! {
                    _ = &mut was_sent => return,
                    () = sleep(PATIENCE) => {}
                }
            }
        });
        Self { content, taken, _sent: sent }
    }
}

impl HttpBody for Patient {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        match &mut *lock(&self.content) {
            Some((body, _)) => Pin::new(body).poll_frame(context),
            None => {
                Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.content).as_ref().is_some_and(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.content).as_ref().map_or_else(SizeHint::default, |(body, _)| body.size_hint())
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        // The waiting task holds the content, too, and may run later.
        drop(lock(&self.content).take());
    }
}

fn lock(content: &Mutex<Option<(Body, Place)>>) -> MutexGuard<'_, Option<(Body, Place)>> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

fn full() -> ApiError {
    let mut problem = Problem::new(
        ProblemCode::RateLimited,
        format!("{OF_HOLDER} large answers for you wait to be read. Read them, then try again."),
    );
    problem.retry_after_s = Some(1);
    problem.into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);

    fn large() -> Response {
        Response::new(Body::from(vec![b'x'; 64 * 1024]))
    }

    #[tokio::test]
    async fn large_answer_has_a_place_until_it_was_read() {
        let answers = Answers::default();
        let mut unread: Vec<Response> =
            (0..OF_HOLDER).map(|_| answers.keep(ONE, false, large())).collect();
        let refused = answers.keep(ONE, false, large());
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        // Small answers, answers to changes, and those to others go out.
        assert_eq!(answers.keep(ONE, false, Response::new(Body::from("small"))).status(), 200);
        assert_eq!(answers.keep(ONE, true, large()).status(), 200);
        assert_eq!(answers.keep(Uuid::from_u128(2), false, large()).status(), 200);
        let body = unread.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), 64 * 1024);
        assert_eq!(answers.keep(ONE, false, large()).status(), 200);
        drop(unread);
        assert!(answers.of().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn answer_of_which_nothing_is_taken_is_dropped() {
        let answers = Answers::default();
        let mut response = answers.keep(ONE, false, large());
        sleep(PATIENCE + Duration::from_secs(1)).await;
        assert!(answers.of().is_empty());
        assert!(response.body_mut().frame().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_is_taken_slowly_goes_on() {
        use std::convert::Infallible;
        let answers = Answers::default();
        let pieces = futures::stream::repeat(Ok::<_, Infallible>("piece"));
        let mut response = answers.keep(ONE, false, Response::new(Body::from_stream(pieces)));
        for _ in 0..10 {
            sleep(PATIENCE / 2).await;
            assert!(response.body_mut().frame().await.unwrap().is_ok());
        }
    }
}
