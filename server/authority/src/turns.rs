//! Concurrency limits for many parties: so many turns in total, and fewer for one party.
//!
//! A request first waits in the line of its own party. So a request of a party with few requests
//! never waits behind all those of another party. A line has a limit ([`LINE_MAX`]), because
//! waiting requests occupy memory.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Number of parties after which those without a turn are dropped.
const FORGET_AT: usize = 1_024;
/// The maximum number of requests of one party that wait at a time.
const LINE_MAX: usize = 512;

/// The turns.
#[derive(Debug)]
pub struct Turns<P> {
    all: Arc<Semaphore>,
    each: usize,
    of: Mutex<HashMap<P, Weak<Line>>>,
}

/// The line of a party.
#[derive(Debug)]
struct Line {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A request that waits in a line, until dropped.
struct Waiting<'a>(&'a Line);

impl Line {
    /// Joins the line, unless it is full.
    fn join(&self) -> Option<Waiting<'_>> {
        let waiting = Waiting(self);
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        (before < LINE_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A turn, returned when dropped.
#[derive(Debug)]
pub struct Turn {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    /// Keeps the line of a party that has turns.
    _line: Arc<Line>,
}

impl<P: Eq + Hash> Turns<P> {
    /// Returns this many turns, of which one party has at most `each`.
    pub fn new(all: usize, each: usize) -> Self {
        let all = all.clamp(1, Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(all)), each: each.max(1), of: Mutex::default() }
    }

    /// Waits for a turn. Returns `None` when too many requests of the party wait already.
    pub async fn take(&self, party: P) -> Option<Turn> {
        let line = self.line(party);
        let _waiting = line.join()?;
        // The semaphores are never closed.
        let own = Arc::clone(&line.turns).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _of_all: of_all, _own: own, _line: Arc::clone(&line) })
    }

    fn line(&self, party: P) -> Arc<Line> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = of.get(&party).and_then(Weak::upgrade) {
            return line;
        }
        if of.len() >= FORGET_AT {
            of.retain(|_, line| line.strong_count() > 0);
        }
        let turns = Arc::new(Semaphore::new(self.each));
        let line = Arc::new(Line { turns, waiting: AtomicUsize::new(0) });
        of.insert(party, Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn party_is_limited_to_its_own_turns_and_does_not_block_others() {
        let turns = Turns::new(3, 2);
        let mut first = vec![turns.take(1).await.unwrap(), turns.take(1).await.unwrap()];
        let mut third = Box::pin(turns.take(1));
        assert!(third.as_mut().now_or_never().is_none());
        let other = turns.take(2).await.unwrap();
        assert!(turns.take(3).now_or_never().is_none(), "all are taken");
        drop(other);
        // The third request of the first party does not block others in the common line.
        assert!(turns.take(2).now_or_never().is_some());
        assert!(third.as_mut().now_or_never().is_none());
        first.pop();
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn full_line_refuses_further_requests() {
        let turns = Turns::new(2, 1);
        let first = turns.take(1).await.unwrap();
        let mut waiting: Vec<_> = (0..LINE_MAX).map(|_| Box::pin(turns.take(1))).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert!(turns.take(1).now_or_never().unwrap().is_none());
        assert!(
            turns.take(2).now_or_never().unwrap().is_some(),
            "the other party has its own line"
        );
        drop(first);
        assert!(waiting.remove(0).now_or_never().unwrap().is_some());
    }
}
