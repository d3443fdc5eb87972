//! Answers to known callers that wait to be read.
//!
//! Each answer that does not go out in one piece has its bytes counted until the connection took all of it. When there
//! is no room, the answer whose peer is slowest is dropped ([`patient`]): of the holder's own answers, or of those of a
//! holder that has more ([`Room`]). A large answer has a place as well. When its holder has none left, 429 is
//! answered instead. An answer of which nothing is taken for [`PATIENCE`] is dropped, too.
//!
//! Answers to questions about tokens have a room of their own, and no places: a token that only reads lists takes
//! nothing from the verifications of its workspace. A question is never refused, as its token's use was counted.
//!
//! The answer to a change is sent in any case: a change is refused before it is made when too much of the answers to
//! changes waits, of its caller, of its holder, or of all. Callers of whom nothing waits may make one change all the
//! same: others who read nothing must not keep them from a revocation.
//!
//! An answer in one piece costs no more than its stream, and streams are counted where the connection is served.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response},
};
use domain::problem::{Problem, ProblemCode};
use hyper::body::Body as _;
use uuid::Uuid;

use super::{
    patient::{self, PIECE, Patience, Patient},
    problem::ApiError,
    room::{Full, Leaving, Party, Room, Seat},
};

/// Large answers of one holder at a time: a workspace's tokens are one, a person is another.
const OF_HOLDER: usize = 32;
/// A smaller answer needs no place. One of an unknown size counts as having this size, and as a larger page of it has.
const LARGE: usize = 64 * 1024;
/// Bytes of answers of all holders, and of one, that were not taken yet: as many of answers to questions, and of all
/// others that change nothing.
const UNREAD: (usize, usize) = (64 * MIB, 16 * MIB);
/// Bytes of answers to changes that were not taken yet: of all, of one holder, and of one caller.
const CHANGES: (usize, usize, usize) = (64 * MIB, 16 * MIB, 4 * MIB);
/// What a change counts while it is being made.
const CHANGE: usize = 1024;
const MIB: usize = 1024 * 1024;
/// The longest that an answer waits until its caller takes some more of it.
const PATIENCE: Duration = Duration::from_mins(1);

/// The answers that were not taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Answers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The bytes of those to questions about tokens.
    questions: Room,
    /// The bytes of all others that change nothing.
    others: Room,
    sums: Mutex<HashMap<Sum, usize>>,
}

/// What is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sum {
    /// The large answers of a holder.
    Large(Uuid),
    /// Bytes of answers to all changes, to those of a holder, and to those of one caller.
    Changes,
    ChangesOfHolder(Uuid),
    ChangesOfCaller(Uuid),
}

/// For what an answer is counted.
#[derive(Clone, Debug)]
pub(super) enum For {
    /// A question about a token, for this holder.
    Question(Uuid),
    /// Anything else that changes nothing.
    Holder(Uuid),
    /// A change.
    Change(Arc<Change>),
}

/// A change, and later the bytes of its answer. Counts until dropped.
#[derive(Debug)]
pub(super) struct Change {
    answers: Answers,
    of: [Sum; 3],
    bytes: AtomicUsize,
}

/// A place of a large answer, given back when dropped.
#[derive(Debug)]
struct Place {
    answers: Answers,
    holder: Uuid,
}

/// What an answer has until it was taken.
enum Kept {
    Answer { seat: Seat, bytes: usize, _place: Option<Place> },
    Change(Arc<Change>),
}

impl patient::Place for Kept {
    fn holds(&mut self, more: usize) -> bool {
        match self {
            Self::Answer { bytes, .. } if more <= *bytes => true,
            Self::Answer { seat, bytes, .. } => {
                let has_room = seat.take(more - *bytes).is_ok();
                *bytes = more;
                has_room
            }
            Self::Change(change) => {
                change.holds(more);
                true
            }
        }
    }

    fn moved(&self, bytes: usize) {
        if let Self::Answer { seat, .. } = self {
            seat.moved(bytes);
        }
    }

    fn works(&self) {
        if let Self::Answer { seat, .. } = self {
            seat.work();
        }
    }

    fn waits(&self) {
        if let Self::Answer { seat, .. } = self {
            seat.wait();
        }
    }

    fn leaving(&self) -> Option<Leaving> {
        match self {
            Self::Answer { seat, .. } => Some(seat.leaving()),
            Self::Change(_) => None,
        }
    }
}

impl Default for Answers {
    fn default() -> Self {
        let room = || Room::new(UNREAD.0, UNREAD.1);
        Self(Arc::new(Inner { questions: room(), others: room(), sums: Mutex::default() }))
    }
}

impl Answers {
    fn sums(&self) -> MutexGuard<'_, HashMap<Sum, usize>> {
        self.0.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a change of this caller, for this holder.
    ///
    /// # Errors
    /// `RateLimited` and `Busy` when too much waits to be read.
    pub(super) fn change(&self, holder: Uuid, caller: Uuid) -> Result<For, ApiError> {
        let of = [Sum::ChangesOfCaller(caller), Sum::ChangesOfHolder(holder), Sum::Changes];
        let mut sums = self.sums();
        let [own, holders, all] = of.map(|of| sums.get(&of).copied().unwrap_or_default());
        if own >= CHANGES.2 || own > 0 && holders >= CHANGES.1 {
            return Err(full());
        }
        if own > 0 && all >= CHANGES.0 {
            return Err(crowded());
        }
        for of in of {
            *sums.entry(of).or_default() += CHANGE;
        }
        drop(sums);
        let bytes = AtomicUsize::new(CHANGE);
        Ok(For::Change(Arc::new(Change { answers: self.clone(), of, bytes })))
    }

    fn enter(&self, holder: Uuid) -> Option<Place> {
        let mut sums = self.sums();
        let sum = sums.entry(Sum::Large(holder)).or_default();
        if *sum >= OF_HOLDER {
            return None;
        }
        *sum += 1;
        drop(sums);
        Some(Place { answers: self.clone(), holder })
    }

    fn give_back(&self, of: Sum, units: usize) {
        let mut sums = self.sums();
        if let Some(sum) = sums.get_mut(&of) {
            *sum -= units;
            if *sum == 0 {
                sums.remove(&of);
            }
        }
    }

    /// Counts an answer that does not go out in one piece.
    pub(super) fn keep(&self, of: &For, response: Response) -> Response {
        let size = response.body().size_hint().exact();
        let size = size.map_or(LARGE, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size <= PIECE {
            return response;
        }
        let kept = match of {
            For::Question(holder) => Ok(self.question(*holder, size)),
            For::Holder(holder) => self.other(*holder, size),
            For::Change(change) => {
                change.holds(size);
                Ok(Kept::Change(Arc::clone(change)))
            }
        };
        match kept {
            Ok(kept) => {
                response.map(|body| Patient::body(body, kept, Patience::EachTime(PATIENCE)))
            }
            Err(refusal) => refusal.into_response(),
        }
    }

    /// Counts an answer to a question of this holder, given from memory, that does not go out in one piece.
    pub(super) fn keep_whole(&self, holder: Uuid, bytes: Bytes) -> Body {
        let kept = self.question(holder, bytes.len());
        Patient::body(Body::from(bytes), kept, Patience::EachTime(PATIENCE))
    }

    fn question(&self, holder: Uuid, bytes: usize) -> Kept {
        let seat = self.0.questions.seat(Party::Holder(holder));
        seat.take_in_any_case(bytes.min(UNREAD.1));
        Kept::Answer { seat, bytes, _place: None }
    }

    fn other(&self, holder: Uuid, bytes: usize) -> Result<Kept, ApiError> {
        let place = if bytes < LARGE { None } else { Some(self.enter(holder).ok_or_else(full)?) };
        let seat = self.0.others.seat(Party::Holder(holder));
        seat.take(bytes.min(UNREAD.1)).map_err(|Full| crowded())?;
        Ok(Kept::Answer { seat, bytes, _place: place })
    }
}

/// Reports whether an answer of this size goes out in one piece, and needs no room.
pub(super) const fn is_piece(size: usize) -> bool {
    size <= PIECE
}

impl Change {
    /// Counts so many bytes, if they are more than before.
    fn holds(&self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes.fetch_max(bytes, Ordering::Relaxed));
        if more > 0 {
            let mut sums = self.answers.sums();
            for of in self.of {
                *sums.entry(of).or_default() += more;
            }
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        for of in self.of {
            self.answers.give_back(of, bytes);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.answers.give_back(Sum::Large(self.holder), 1);
    }
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
        let keep = |of: &For, response| answers.keep(of, response);
        let change = answers.change(ONE, ONE).unwrap();
        let mut unread: Vec<Response> =
            (0..OF_HOLDER).map(|_| keep(&For::Holder(ONE), large())).collect();
        let refused = keep(&For::Holder(ONE), large());
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        // Small answers, answers to changes, and those to others go out.
        let small = Response::new(Body::from("small"));
        assert_eq!(keep(&For::Holder(ONE), small).status(), 200);
        assert_eq!(keep(&change, large()).status(), 200);
        assert_eq!(keep(&For::Holder(TWO), large()).status(), 200);
        let body = unread.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), 64 * 1024);
        assert_eq!(keep(&For::Holder(ONE), large()).status(), 200);
        drop((unread, change));
        assert!(answers.sums().is_empty());
    }

    #[tokio::test]
    async fn bytes_of_answers_that_nobody_reads_give_way_to_answers_of_the_same_holder() {
        let answers = Answers::default();
        let ask = |of: &For| answers.keep(of, Response::new(Body::from(vec![b'x'; 60 * 1024])));
        let other = ask(&For::Holder(TWO));
        let mut unread: Vec<Response> = (0..400).map(|_| ask(&For::Holder(ONE))).collect();
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
        let mut body = answers.keep_whole(ONE, bytes);
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!whole.contains(&piece.as_ptr()));
    }

    #[tokio::test]
    async fn large_answer_goes_out_in_pieces_and_whole() {
        let answers = Answers::default();
        let bytes: Vec<u8> = (0..5 * PIECE + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut response =
            answers.keep(&For::Holder(ONE), Response::new(Body::from(bytes.clone())));
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

    fn change(answers: &Answers, holder: Uuid, caller: u128, bytes: usize) -> For {
        let change = answers.change(holder, Uuid::from_u128(caller)).unwrap();
        let For::Change(begun) = &change else { panic!("a change") };
        begun.holds(bytes);
        change
    }

    #[tokio::test]
    async fn change_is_refused_before_it_is_made_while_too_many_answers_of_its_caller_wait() {
        let answers = Answers::default();
        let begun = answers.change(ONE, ONE).unwrap();
        let unread: Vec<_> = (0..64).map(|_| change(&answers, ONE, 1, CHANGES.2 / 64)).collect();
        // The answer to a change that was begun before is sent.
        assert_eq!(answers.keep(&begun, large()).status(), 200);
        let refused = answers.change(ONE, ONE).unwrap_err();
        assert_eq!(refused.problem().code, ProblemCode::RateLimited);
        assert_eq!(answers.keep(&For::Holder(ONE), large()).status(), 200);
        answers.change(ONE, TWO).unwrap();
        drop(unread);
        answers.change(ONE, ONE).unwrap();
        drop(begun);
        assert!(answers.sums().is_empty());
    }

    #[test]
    fn changes_have_a_bound_for_a_holder_and_in_all_and_one_change_is_left_to_everybody() {
        let answers = Answers::default();
        let refused = |holder, caller| {
            let refused = answers.change(holder, Uuid::from_u128(caller)).err();
            refused.map(|refused| refused.problem().code)
        };
        // Each token has less than a caller may have.
        let mut unread: Vec<_> =
            (0..4).map(|caller| change(&answers, ONE, caller, CHANGES.1 / 4 - 1)).collect();
        assert_eq!(refused(ONE, 3), None);
        unread.push(change(&answers, ONE, 4, CHANGE + 4));
        assert_eq!(refused(ONE, 4), Some(ProblemCode::RateLimited));
        assert_eq!(refused(ONE, 5), None, "nothing of it waits");
        unread.push(change(&answers, TWO, 6, CHANGE));
        assert_eq!(refused(TWO, 6), None);
        for holder in 10..22 {
            unread.push(change(&answers, Uuid::from_u128(holder), holder, CHANGES.2));
        }
        assert_eq!(refused(TWO, 6), Some(ProblemCode::Busy));
        assert_eq!(refused(TWO, 7), None);
        drop(unread);
        assert!(answers.sums().is_empty());
    }

    /// An answer whose size nobody knows, of pages of this size.
    fn export(size: usize) -> Response {
        let page = move || Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; size]));
        Response::new(Body::from_stream(futures::stream::repeat_with(page)))
    }

    async fn takes(response: &mut Response) -> bool {
        response.body_mut().frame().await.is_some_and(|frame| frame.is_ok())
    }

    /// Lets the tasks run that drop answers.
    async fn others() {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn page_of_an_export_counts_whole_until_it_was_read() {
        let answers = Answers::default();
        let mut unread = Vec::new();
        for _ in 0..20 {
            let mut response = answers.keep(&For::Holder(ONE), export(MIB));
            assert!(takes(&mut response).await);
            unread.push(response);
        }
        others().await;
        let mut left = 0;
        for response in &mut unread {
            left += usize::from(takes(response).await);
        }
        assert_eq!(left, UNREAD.1 / MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_waits_for_the_server_gives_way_to_none_and_keeps_its_time() {
        let answers = Answers::default();
        let (pages, made) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let stream = futures::stream::unfold(made, async |mut made| {
            made.recv().await.map(|page| (Ok::<_, std::convert::Infallible>(page), made))
        });
        let response = Response::new(Body::from_stream(stream));
        let mut waiting = answers.keep(&For::Holder(ONE), response);
        let mut frame = Box::pin(waiting.body_mut().frame());
        assert!(futures::poll!(frame.as_mut()).is_pending());
        sleep(PATIENCE * 3).await;
        // Others of the same holder want all of its room.
        let mut unread = Vec::new();
        for _ in 0..20 {
            let mut response = answers.keep(&For::Holder(ONE), export(MIB));
            let _ = takes(&mut response).await;
            unread.push(response);
        }
        others().await;
        pages.send(Bytes::from_static(b"a page")).unwrap();
        assert_eq!(frame.await.unwrap().unwrap().into_data().unwrap(), "a page");
    }

    #[tokio::test]
    async fn verifications_take_nothing_from_lists_and_lists_nothing_from_them() {
        let answers = Answers::default();
        let lists: Vec<_> =
            (0..OF_HOLDER).map(|_| answers.keep(&For::Holder(ONE), large())).collect();
        let small = Response::new(Body::from(vec![b'x'; LARGE - 1]));
        let small = answers.keep(&For::Holder(ONE), small);
        let mut unread: Vec<_> =
            (0..400).map(|_| answers.keep_whole(ONE, Bytes::from(vec![b'x'; LARGE]))).collect();
        assert_eq!(answers.keep(&For::Question(ONE), large()).status(), 200);
        others().await;
        for response in lists.into_iter().chain([small]) {
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
        }
        let last = unread.pop().unwrap();
        assert_eq!(last.collect().await.unwrap().to_bytes().len(), LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_of_which_nothing_is_taken_is_dropped() {
        let answers = Answers::default();
        let mut response = answers.keep(&For::Holder(ONE), large());
        sleep(PATIENCE + Duration::from_secs(1)).await;
        assert!(answers.sums().is_empty());
        assert!(response.body_mut().frame().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_is_taken_slowly_goes_on() {
        use std::convert::Infallible;
        let answers = Answers::default();
        let pieces = futures::stream::repeat(Ok::<_, Infallible>("piece"));
        let mut response =
            answers.keep(&For::Holder(ONE), Response::new(Body::from_stream(pieces)));
        for _ in 0..10 {
            sleep(PATIENCE / 2).await;
            assert!(response.body_mut().frame().await.unwrap().is_ok());
        }
    }
}
