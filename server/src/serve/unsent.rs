//! Answers of one HTTP/2 connection that its peer has not taken yet.
//!
//! hyper does not ask for more of an answer while the peer's window is closed, so nothing that an answer does can end
//! its stream. The connection looks from outside: it counts the answers that wait by periods. An answer that waits
//! since before the last period waits for too long, and ends the connection. Each answer costs two additions.

use std::{
    sync::atomic::{AtomicU8, AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

/// The length of a period. An answer of which nothing is taken waits for one to two of them.
const PERIOD: Duration = Duration::from_secs(30);
/// Bytes of an answer that show that its peer takes it.
const STEP: usize = 8 * 1024;
/// The period of an answer that does not wait for its peer.
const NONE: u8 = 2;

/// The answers of a connection that wait.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Counts the periods.
    period: AtomicUsize,
    /// The answers that wait since an even period, and since an odd one.
    waiting: [AtomicUsize; 2],
    /// The unread answers with which the connection had to make room for others; 0 before that.
    leaving: AtomicUsize,
    leave: Notify,
}

/// Whether an answer waits, and since when.
#[derive(Debug)]
pub(super) struct Since(AtomicU8);

/// Counts the bytes that a peer took of one piece of an answer.
#[derive(Debug, Default)]
pub(super) struct Taken(usize);

impl Unsent {
    /// Returns the number of answers that wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.load(Ordering::Relaxed)).sum()
    }

    /// Resolves when an answer has waited for too long.
    pub(super) async fn too_long(&self) {
        loop {
            sleep(PERIOD).await;
            let period = self.period.load(Ordering::Relaxed);
            if self.of(period + 1).load(Ordering::Relaxed) > 0 {
                return;
            }
            self.period.store(period + 1, Ordering::Relaxed);
        }
    }

    /// Ends the connection at once, so that others get the room of these unread answers.
    pub(super) fn leave(&self, answers: usize) {
        self.leaving.store(answers, Ordering::Relaxed);
        self.leave.notify_one();
    }

    /// Returns the unread answers with which the connection had to make room for others.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Resolves when the connection has to make room for others. One at a time may wait for it.
    pub(super) async fn gave_way(&self) {
        while self.leaving() == 0 {
            self.leave.notified().await;
        }
    }

    /// Returns the answers of an even or an odd period.
    const fn of(&self, period: usize) -> &AtomicUsize {
        let [even, odd] = &self.waiting;
        if period.is_multiple_of(2) { even } else { odd }
    }

    fn now(&self) -> u8 {
        u8::from(!self.period.load(Ordering::Relaxed).is_multiple_of(2))
    }
}

impl Default for Since {
    fn default() -> Self {
        Self(AtomicU8::new(NONE))
    }
}

impl Since {
    /// Waits for the peer from now on.
    pub(super) fn waits(&self, unsent: &Unsent) {
        self.set(unsent, unsent.now());
    }

    /// Does not wait for the peer: the answer, or the next part of it, is being made.
    pub(super) fn works(&self, unsent: &Unsent) {
        self.set(unsent, NONE);
    }

    /// Notes that the peer took something.
    pub(super) fn moved(&self, unsent: &Unsent) {
        if self.0.load(Ordering::Relaxed) != NONE {
            self.waits(unsent);
        }
    }

    fn set(&self, unsent: &Unsent, period: u8) {
        if self.0.load(Ordering::Relaxed) == period {
            return;
        }
        // Counts before others can see it, so that whoever takes it out again finds it counted.
        if period != NONE {
            unsent.of(period.into()).fetch_add(1, Ordering::Relaxed);
        }
        let before = self.0.swap(period, Ordering::AcqRel);
        if before != NONE {
            unsent.of(before.into()).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Taken {
    /// Adds bytes. Reports whether they show that the peer takes the answer.
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

    #[tokio::test(start_paused = true)]
    async fn answer_waits_for_one_to_two_periods_and_what_is_taken_counts() {
        let unsent = Unsent::default();
        let mut too_long = pin!(unsent.too_long());
        let (slow, stuck) = (Since::default(), Since::default());
        assert!(timeout(PERIOD / 2, too_long.as_mut()).await.is_err());
        slow.waits(&unsent);
        for _ in 0..10 {
            assert!(timeout(PERIOD / 2, too_long.as_mut()).await.is_err());
            slow.moved(&unsent);
            assert_eq!(unsent.count(), 1);
        }
        slow.works(&unsent);
        assert!(timeout(PERIOD * 5, too_long.as_mut()).await.is_err(), "the server works");
        slow.moved(&unsent);
        assert_eq!(unsent.count(), 0);
        stuck.waits(&unsent);
        assert!(timeout(PERIOD, too_long.as_mut()).await.is_err());
        timeout(PERIOD, too_long).await.unwrap();
    }
}
