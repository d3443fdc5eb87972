//! Unread responses to authenticated callers.
//!
//! Each response that does not go out in one piece has its bytes counted until the connection has
//! taken all of it. If there is no room, the response with the slowest peer is dropped
//! ([`patient`]): one of the same holder's, or one of a holder's that has more ([`Room`]). A large
//! response needs a place as well. If its holder has no free place, 429 is returned instead. A
//! response of which the client reads nothing for [`PATIENCE`] is dropped, too.
//!
//! Responses to verifications have a room of their own, and need no places: a token that only reads
//! lists takes nothing from the verifications of its workspace. A verification is never refused,
//! because its token's use has already been counted.
//!
//! The response to a change is always sent. Instead, a change is refused before it is made if its
//! caller has too many unread bytes of changes: more than its part, or more than it leaves to other
//! callers of its holder. The same holds for a holder among all holders. Callers and holders that
//! have little unread are not refused: other clients that read nothing must not prevent them from
//! revoking a token.
//!
//! A response in one piece costs no more than its stream, and streams are counted where the
//! connection is served.

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
    room::{Full, Leaving, Party, Room, Seat},
};
use crate::problem::ApiError;

/// Maximum number of large responses of one holder at a time. A workspace's tokens together are one
/// holder; a person is another.
const OF_HOLDER: usize = 32;
/// The size from which a response needs a place. A response of unknown size counts this many bytes,
/// or as many as the page that is being sent.
const LARGE: usize = 64 * 1024;
/// Unread bytes of all holders, and of one: once for responses to verifications, and once for all
/// others that change nothing.
const UNREAD: (usize, usize) = (64 * MIB, 16 * MIB);
/// Unread bytes of responses to changes: of all holders, of one holder, and of one caller.
const CHANGES: (usize, usize, usize) = (64 * MIB, 16 * MIB, 4 * MIB);
/// The bytes that count for a change in progress, whose response is not known yet.
const CHANGE: usize = 16 * 1024;
/// The bytes that a caller and a holder may have in any case, however much others have.
const FEW: (usize, usize) = (16 * CHANGE, 128 * CHANGE);
const MIB: usize = 1024 * 1024;
/// How long a response waits until its client reads some more of it.
const PATIENCE: Duration = Duration::from_mins(1);

/// The unread responses.
#[derive(Clone, Debug)]
pub(crate) struct Answers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The bytes of responses to verifications.
    questions: Room,
    /// The bytes of all others that change nothing.
    others: Room,
    sums: Mutex<HashMap<Sum, usize>>,
}

/// A sum that is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sum {
    /// The large responses of a holder.
    Large(Uuid),
    /// Bytes of responses to all changes, to those of a holder, and to those of one caller.
    Changes,
    ChangesOfHolder(Uuid),
    ChangesOfCaller(Uuid),
}

/// The kind and the holder for which a response counts.
#[derive(Clone, Debug)]
pub(crate) enum For {
    /// A verification for this holder.
    Question(Uuid),
    /// Anything else that changes nothing.
    Holder(Uuid),
    /// A change.
    Change(Arc<Change>),
}

/// A change, and later the bytes of its response. Counts until dropped.
#[derive(Debug)]
pub(crate) struct Change {
    answers: Answers,
    of: [Sum; 3],
    bytes: AtomicUsize,
}

/// The place of a large response, given back when dropped.
#[derive(Debug)]
struct Place {
    answers: Answers,
    holder: Uuid,
}

/// The room and places of a response until it is read.
enum Kept {
    Answer { seat: Seat, bytes: usize, least: usize, _place: Option<Place> },
    Change(Arc<Change>),
}

impl patient::Place for Kept {
    fn holds(&mut self, bytes: usize, others_give_way: bool) -> bool {
        match self {
            Self::Answer { seat, bytes: has, .. } => {
                let more = bytes.min(UNREAD.1).saturating_sub(*has);
                let has_room = more == 0
                    || if others_give_way { seat.take(more) } else { seat.take_free(more) }.is_ok();
                if has_room {
                    *has += more;
                }
                has_room
            }
            Self::Change(change) => {
                change.holds(bytes);
                true
            }
        }
    }

    fn moved(&self, bytes: usize) {
        if let Self::Answer { seat, .. } = self {
            seat.moved(bytes);
        }
    }

    fn works(&mut self) {
        if let Self::Answer { seat, bytes, least, .. } = self {
            seat.work();
            // A page that has been read takes no room.
            seat.give_back(*bytes - *least);
            *bytes = *least;
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
    /// `RateLimited` and `Busy` if too much is unread.
    pub(crate) fn change(&self, holder: Uuid, caller: Uuid) -> Result<For, ApiError> {
        let of = [Sum::ChangesOfCaller(caller), Sum::ChangesOfHolder(holder), Sum::Changes];
        let mut sums = self.sums();
        let [own, holders, all] = of.map(|of| CHANGE + sums.get(&of).copied().unwrap_or_default());
        if own > CHANGES.2 {
            return Err(refuse(ProblemCode::RateLimited, OF_CALLER));
        }
        if own > FEW.0 && own > CHANGES.1.saturating_sub(holders) {
            return Err(refuse(ProblemCode::RateLimited, OF_OTHERS));
        }
        if own > FEW.0 && holders > FEW.1 && holders > CHANGES.0.saturating_sub(all) {
            return Err(refuse(ProblemCode::Busy, OF_ALL));
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

    /// Counts a response that does not go out in one piece.
    pub(crate) fn keep(&self, of: &For, response: Response) -> Response {
        let size = response.body().size_hint().exact();
        let size = size.map_or(LARGE, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size <= PIECE {
            return response;
        }
        let kept = match of {
            For::Question(holder) => Ok(self.question(*holder, size)),
            For::Holder(holder) => self.other(*holder, size),
            For::Change(change) => {
                change.counts(size);
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

    /// Counts a response from memory to a verification of this holder that does not go out in
    /// one piece.
    pub(crate) fn keep_whole(&self, holder: Uuid, bytes: Bytes) -> Body {
        let kept = self.question(holder, bytes.len());
        Patient::body(Body::from(bytes), kept, Patience::EachTime(PATIENCE))
    }

    fn question(&self, holder: Uuid, bytes: usize) -> Kept {
        let seat = self.0.questions.seat(Party::Holder(holder));
        let bytes = bytes.min(UNREAD.1);
        seat.take_in_any_case(bytes);
        Kept::Answer { seat, bytes, least: bytes, _place: None }
    }

    fn other(&self, holder: Uuid, bytes: usize) -> Result<Kept, ApiError> {
        let place = if bytes < LARGE { None } else { Some(self.enter(holder).ok_or_else(full)?) };
        let seat = self.0.others.seat(Party::Holder(holder));
        let bytes = bytes.min(UNREAD.1);
        seat.take(bytes).map_err(|Full| crowded())?;
        Ok(Kept::Answer { seat, bytes, least: bytes, _place: place })
    }
}

/// Whether a response of this size goes out in one piece, and needs no room.
pub(crate) const fn is_piece(size: usize) -> bool {
    size <= PIECE
}

impl Change {
    /// Counts this many bytes, if they are more than before.
    fn holds(&self, bytes: usize) {
        if bytes > self.bytes.load(Ordering::Relaxed) {
            self.counts(bytes);
        }
    }

    /// Counts this many bytes instead of those before.
    fn counts(&self, bytes: usize) {
        let mut sums = self.answers.sums();
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        for of in self.of {
            let sum = sums.entry(of).or_default();
            *sum = *sum + bytes - before;
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

const OF_CALLER: &str = "You have too many changes in progress, or unread responses to changes. Read or close them, then try again.";
const OF_OTHERS: &str = "You and other callers for the same workspace have too many changes in progress, or unread responses to changes. \
     Read or close them, then try again.";
const OF_ALL: &str = "The server has too many changes in progress, and responses to changes that clients have not read yet. Try again in a second.";

fn full() -> ApiError {
    refuse(
        ProblemCode::RateLimited,
        "You have too many unread responses. Read or close them, then try again.",
    )
}

fn crowded() -> ApiError {
    refuse(
        ProblemCode::Busy,
        "The server holds too many responses that clients have not read yet. Try again in a second.",
    )
}

fn refuse(code: ProblemCode, detail: &'static str) -> ApiError {
    let mut problem = Problem::new(code, detail);
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
    async fn large_response_has_a_place_until_it_is_read() {
        let answers = Answers::default();
        let keep = |of: &For, response| answers.keep(of, response);
        let change = answers.change(ONE, ONE).unwrap();
        let mut unread: Vec<Response> =
            (0..OF_HOLDER).map(|_| keep(&For::Holder(ONE), large())).collect();
        let refused = keep(&For::Holder(ONE), large());
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        // Small responses, responses to changes, and responses to other holders go out.
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
    async fn unread_responses_are_dropped_for_responses_to_the_same_holder() {
        let answers = Answers::default();
        let ask = |of: &For| answers.keep(of, Response::new(Body::from(vec![b'x'; 60 * 1024])));
        let other = ask(&For::Holder(TWO));
        let mut unread: Vec<Response> = (0..400).map(|_| ask(&For::Holder(ONE))).collect();
        assert!(unread.iter().all(|response| response.status() == 200));
        // Run the tasks that drop responses.
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
    async fn piece_of_a_response_does_not_keep_the_whole_alive() {
        let answers = Answers::default();
        let bytes = Bytes::from(vec![b'x'; 60 * 1024]);
        let whole = bytes.as_ptr_range();
        let mut body = answers.keep_whole(ONE, bytes);
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!whole.contains(&piece.as_ptr()));
    }

    #[tokio::test]
    async fn large_response_is_sent_completely_in_pieces() {
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
        begun.counts(bytes);
        change
    }

    #[tokio::test]
    async fn change_is_refused_early_while_its_caller_has_too_many_unread_responses() {
        let answers = Answers::default();
        let begun = answers.change(ONE, ONE).unwrap();
        let unread: Vec<_> = (0..63).map(|_| change(&answers, ONE, 1, CHANGES.2 / 64)).collect();
        // The response to a change that began earlier is sent.
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

    /// Begins changes until one is refused. Returns them, and the refusal.
    fn begin(answers: &Answers, holder: u128, caller: u128) -> (Vec<For>, ProblemCode) {
        let mut begun = Vec::new();
        loop {
            match answers.change(Uuid::from_u128(holder), Uuid::from_u128(caller)) {
                Ok(change) => begun.push(change),
                Err(refusal) => return (begun, refusal.problem().code),
            }
        }
    }

    #[test]
    fn change_in_progress_counts_as_a_typical_response() {
        let answers = Answers::default();
        let (begun, _) = begin(&answers, 1, 1);
        assert_eq!(begun.len(), CHANGES.2 / CHANGE);
        for change in &begun {
            let For::Change(change) = change else { panic!("a change") };
            change.counts(10_000);
        }
        assert!(answers.change(ONE, ONE).is_ok(), "the responses are smaller than reserved");
        drop(begun);
        assert!(answers.sums().is_empty());
    }

    #[test]
    fn callers_and_holders_with_few_unread_bytes_are_not_refused() {
        let answers = Answers::default();
        let of = |holder: u128, caller: u128, bytes| {
            change(&answers, Uuid::from_u128(holder), caller, bytes)
        };
        // The responses are larger than expected when their changes began.
        let mut unread: Vec<_> = (0..5).map(|caller| of(1, caller, CHANGES.1 / 4)).collect();
        assert_eq!(begin(&answers, 1, 4).1, ProblemCode::RateLimited);
        assert_eq!(begin(&answers, 1, 4).0.len(), 0);
        let (few, refusal) = begin(&answers, 1, 5);
        assert_eq!((few.len(), refusal), (FEW.0 / CHANGE, ProblemCode::RateLimited));
        for holder in 2..=4 {
            unread.extend((0..5).map(|caller| of(holder, holder * 10 + caller, CHANGES.1 / 4)));
        }
        // All of them have more than the limits allow in total.
        let (others, refusal) = begin(&answers, 5, 50);
        assert_eq!((others.len(), refusal), (FEW.1 / CHANGE, ProblemCode::Busy));
        assert_eq!(begin(&answers, 5, 51).0.len(), FEW.0 / CHANGE);
        drop((unread, few, others));
        assert!(answers.sums().is_empty());
    }

    #[test]
    fn caller_leaves_changes_to_other_callers_of_its_holder() {
        let answers = Answers::default();
        let begun: Vec<_> = (0..8).map(|caller| begin(&answers, 1, caller).0).collect();
        let counts: Vec<_> = begun.iter().map(Vec::len).collect();
        assert_eq!(counts[0], CHANGES.2 / CHANGE);
        assert!(counts.iter().sum::<usize>() <= CHANGES.1 / CHANGE, "{counts:?}");
        assert!(counts.is_sorted_by(|one, next| one >= next) && counts[7] >= 4, "{counts:?}");
    }

    /// A response of unknown size, with pages of this size.
    fn export(size: usize) -> Response {
        let page = move || Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; size]));
        Response::new(Body::from_stream(futures::stream::repeat_with(page)))
    }

    async fn takes(response: &mut Response) -> bool {
        response.body_mut().frame().await.is_some_and(|frame| frame.is_ok())
    }

    /// Runs the tasks that drop responses.
    async fn others() {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn export_page_counts_completely_until_it_is_read() {
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

    /// Twenty exports whose pages are produced at the same time, and whose clients read them.
    #[tokio::test(start_paused = true)]
    async fn exports_in_progress_finish_even_if_their_pages_exceed_the_room() {
        const PAGES: usize = 3;
        let answers = Answers::default();
        let reads = (0..20).map(|_| {
            let pages = futures::stream::unfold(0, async |number| {
                sleep(Duration::from_secs(1)).await;
                let page = Bytes::from(vec![b'x'; MIB]);
                (number < PAGES).then(|| (Ok::<_, std::convert::Infallible>(page), number + 1))
            });
            let mut export =
                answers.keep(&For::Holder(ONE), Response::new(Body::from_stream(pages)));
            async move {
                let mut read = 0;
                while let Some(frame) = export.body_mut().frame().await {
                    read += frame.unwrap().into_data().unwrap().len();
                    sleep(Duration::from_millis(3)).await;
                }
                read
            }
        });
        let all = futures::future::join_all(reads).await;
        assert_eq!(all, [PAGES * MIB; 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn response_that_waits_for_the_server_is_neither_evicted_nor_timed_out() {
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
        // Other responses of the same holder want all of its room.
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
    async fn verifications_and_lists_have_separate_limits() {
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
    async fn unread_response_is_dropped_after_a_timeout() {
        let answers = Answers::default();
        let mut response = answers.keep(&For::Holder(ONE), large());
        sleep(PATIENCE + Duration::from_secs(1)).await;
        assert!(answers.sums().is_empty());
        assert!(response.body_mut().frame().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn slowly_read_response_continues() {
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
