//! Responses of one HTTP/2 connection that its peer has not taken yet.
//!
//! hyper does not poll a response while the peer's window is closed, so a response cannot end its
//! own stream. Instead, the connection watches its responses from outside. It counts the waiting
//! responses, and closes when one waits and nothing else on the connection makes progress. One
//! response that waits while others are taken costs little, because its memory is bounded.
//!
//! A response on its way to the peer is not unread. It becomes unread after it has waited for
//! [`STAMP`] to twice as long. Each response takes the connection's lock twice, for a few
//! additions.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::life;

/// How long a connection may make no progress while a response waits. Detection takes up to twice
/// as long.
const PERIOD: Duration = Duration::from_secs(30);
/// The number of seconds that one stamp stands for.
const STAMP: u32 = 2;
/// The number of bytes of a response after which its peer counts as reading it.
const STEP: usize = 1024;
/// A connection with this many unread responses may have to make room for others, whatever else it
/// has in progress.
const MANY: usize = 16;
/// The stamp of a response that does not wait for its peer, because its request is being answered.
const NONE: u32 = 0;
/// The stamp of a response whose next part the server is producing.
const MADE: u32 = 1;

/// The waiting responses of a connection.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    counts: Mutex<Counts>,
    /// The number of streams of the connection.
    streams: AtomicUsize,
    /// Grows when the peer takes something.
    progress: AtomicUsize,
    /// The number of unread responses with which the connection had to make room for others, or 0
    /// before that.
    leaving: AtomicUsize,
    leave: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    /// The latest stamp.
    now: u32,
    /// Responses that have waited since this stamp, since the previous one, and since an earlier
    /// one.
    fresh: usize,
    recent: usize,
    old: usize,
    /// Responses whose next part is being produced.
    made: usize,
}

/// Whether a response waits, and since when.
#[derive(Debug)]
pub(super) struct Since(AtomicU32);

/// Counts the bytes that a peer took of one piece of a response.
#[derive(Debug, Default)]
pub(super) struct Taken(usize);

impl Unsent {
    /// Adds a stream to the connection's count.
    pub(super) fn enter(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a stream from the connection's count.
    pub(super) fn exit(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number of unread responses if they justify closing the connection: it has many
    /// of them, or they are at least half of its streams. Otherwise returns 0, so that a few slow
    /// responses don't end other requests in progress.
    pub(super) fn unread(&self) -> usize {
        let unread = self.waited();
        let streams = self.streams.load(Ordering::Relaxed);
        if unread >= MANY || unread * 2 >= streams { unread } else { 0 }
    }

    /// Returns the number of responses that have waited for long.
    fn waited(&self) -> usize {
        let mut counts = self.counts();
        counts.advance(stamp());
        counts.old
    }

    /// Resolves when a response has waited for too long without any progress.
    pub(super) async fn too_long(&self) {
        loop {
            let (waiting, before) = (self.look(Counts::waiting), self.progress());
            sleep(PERIOD).await;
            // The response waiting then has made no progress, so it still waits.
            if waiting > 0 && self.progress() == before {
                return;
            }
        }
    }

    /// Returns a number that grows when the peer takes something.
    pub(super) fn progress(&self) -> usize {
        self.progress.load(Ordering::Relaxed)
    }

    /// Reports whether the next part of a response is being produced.
    pub(super) fn is_making(&self) -> bool {
        self.look(|counts| counts.made > 0)
    }

    /// Makes the connection close, so that others get the room of these unread responses.
    pub(super) fn leave(&self, answers: usize) {
        self.leaving.store(answers, Ordering::Relaxed);
        self.leave.notify_one();
    }

    /// Returns the number of unread responses with which the connection had to make room for
    /// others, or 0 before that.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Resolves when the connection has to make room for others. Only one task at a time may wait
    /// for it.
    pub(super) async fn gave_way(&self) {
        while self.leaving() == 0 {
            self.leave.notified().await;
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Counts) -> T) -> T {
        look(&self.counts())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the current stamp.
fn stamp() -> u32 {
    life::ticks() / STAMP + MADE + 1
}

impl Counts {
    const fn waiting(&self) -> usize {
        self.fresh + self.recent + self.old
    }

    fn advance(&mut self, now: u32) {
        while self.now < now && self.fresh + self.recent > 0 {
            self.old += self.recent;
            self.recent = self.fresh;
            self.fresh = 0;
            self.now += 1;
        }
        self.now = self.now.max(now);
    }

    /// Returns the count of responses with this stamp.
    const fn of(&mut self, stamp: u32) -> Option<&mut usize> {
        match stamp {
            NONE => None,
            MADE => Some(&mut self.made),
            _ if stamp >= self.now => Some(&mut self.fresh),
            _ if stamp + 1 == self.now => Some(&mut self.recent),
            _ => Some(&mut self.old),
        }
    }
}

impl Default for Since {
    fn default() -> Self {
        Self(AtomicU32::new(NONE))
    }
}

impl Since {
    /// Marks the response as waiting for the peer.
    pub(super) fn waits(&self, unsent: &Unsent) {
        self.set(unsent, stamp());
    }

    /// Marks the response as not waiting for the peer: its next part is being produced.
    pub(super) fn works(&self, unsent: &Unsent) {
        self.set(unsent, MADE);
    }

    /// Removes the response from the counts.
    pub(super) fn ends(&self, unsent: &Unsent) {
        self.set(unsent, NONE);
    }

    /// Records that the peer took something.
    pub(super) fn moved(&self, unsent: &Unsent) {
        unsent.progress.fetch_add(1, Ordering::Relaxed);
        self.set_if(unsent, stamp(), |before| before > MADE);
    }

    fn set(&self, unsent: &Unsent, stamp: u32) {
        let before = self.set_if(unsent, stamp, |_| true);
        if before > MADE && before != stamp {
            unsent.progress.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sets the stamp if the previous one allows it. Returns the previous stamp.
    fn set_if(&self, unsent: &Unsent, stamp: u32, allows: impl Fn(u32) -> bool) -> u32 {
        let before = self.0.load(Ordering::Relaxed);
        if before == stamp || !allows(before) {
            return before;
        }
        let mut counts = unsent.counts();
        // Another task may have set it in the meantime.
        let before = self.0.load(Ordering::Relaxed);
        if !allows(before) {
            return before;
        }
        if stamp > MADE {
            counts.advance(stamp);
        }
        self.0.store(stamp, Ordering::Relaxed);
        if let Some(count) = counts.of(before) {
            *count -= 1;
        }
        if let Some(count) = counts.of(stamp) {
            *count += 1;
        }
        before
    }
}

impl Taken {
    /// Adds bytes. Reports whether they show that the peer is reading the response.
    pub(super) const fn add(&mut self, bytes: usize) -> bool {
        self.0 += bytes;
        let is_step = self.0 >= STEP;
        if is_step {
            self.0 = 0;
        }
        is_step
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::timeout;

    use super::*;

    /// Lets `number` stamps pass.
    fn stamps(number: u32) {
        for _ in 0..number * STAMP {
            life::tick();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn response_waits_one_to_two_periods_unless_another_progresses() {
        let unsent = Unsent::default();
        let mut too_long = pin!(unsent.too_long());
        let (slow, stuck) = (Since::default(), Since::default());
        stuck.waits(&unsent);
        slow.waits(&unsent);
        for _ in 0..10 {
            assert!(timeout(PERIOD / 2, too_long.as_mut()).await.is_err());
            stamps(1);
            slow.moved(&unsent);
        }
        slow.works(&unsent);
        assert!(unsent.is_making());
        slow.ends(&unsent);
        assert!(timeout(PERIOD / 2, too_long.as_mut()).await.is_err());
        timeout(PERIOD * 2, too_long).await.unwrap();
    }

    #[test]
    fn progress_counts_immediately() {
        let unsent = Unsent::default();
        let since = Since::default();
        since.waits(&unsent);
        for _ in 0..10 {
            let before = unsent.progress();
            since.moved(&unsent);
            assert!(unsent.progress() > before);
        }
        since.works(&unsent);
        since.moved(&unsent);
        assert!(unsent.is_making(), "progress of an earlier piece does not count for the next");
    }

    #[test]
    fn few_unread_responses_among_many_requests_do_not_close_the_connection() {
        for (unread, others, may_end) in
            [(1, 1, true), (1, 2, false), (15, 16, false), (16, 184, true)]
        {
            let unsent = Unsent::default();
            let waiting: Vec<_> = (0..unread).map(|_| Since::default()).collect();
            for since in &waiting {
                since.waits(&unsent);
            }
            for _ in 0..unread + others {
                unsent.enter();
            }
            stamps(2);
            assert_eq!(unsent.unread(), if may_end { unread } else { 0 }, "{unread} {others}");
            for _ in 0..others {
                unsent.exit();
            }
            assert_eq!(unsent.unread(), unread);
        }
    }

    #[test]
    fn response_is_unread_only_after_waiting() {
        let unsent = Unsent::default();
        let [first, second, third] = std::array::from_fn(|_| Since::default());
        first.waits(&unsent);
        assert_eq!(unsent.waited(), 0);
        stamps(2);
        assert_eq!(unsent.waited(), 1);
        second.waits(&unsent);
        third.works(&unsent);
        assert_eq!(unsent.waited(), 1);
        stamps(100);
        assert_eq!(unsent.waited(), 2);
        first.moved(&unsent);
        assert_eq!(unsent.waited(), 1);
        for since in [&first, &second, &third] {
            since.ends(&unsent);
        }
        assert_eq!((unsent.waited(), unsent.look(Counts::waiting)), (0, 0));
        assert!(!unsent.is_making());
    }
}
