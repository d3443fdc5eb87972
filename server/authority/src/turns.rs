//! Turns that many parties take: so many at a time, and fewer for one party.
//!
//! A request waits in the line of its own party first. So one that comes from a party with few requests never
//! waits behind all those of another one. A line has an end ([`LINE_MAX`]): who waits keeps memory.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Parties after which those without a turn are forgotten.
const FORGET_AT: usize = 1_024;
/// Requests of one party that wait at a time.
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

/// Somebody who waits in a line, until dropped.
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

/// A turn, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    /// A party that has turns keeps its line.
    _line: Arc<Line>,
}

impl<P: Eq + Hash> Turns<P> {
    /// Returns so many turns, of which one party has fewer.
    pub fn new(all: usize, each: usize) -> Self {
        let all = all.clamp(1, Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(all)), each: each.max(1), of: Mutex::default() }
    }

    /// Waits for a turn. Returns `None` when too many of the party wait already.
    pub async fn take(&self, party: P) -> Option<Turn> {
        let line = self.line(party);
        let _waiting = line.join()?;
        // Nobody closes the semaphores.
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
    async fn party_waits_for_its_own_turns_and_others_only_for_those_of_all() {
        let turns = Turns::new(3, 2);
        let mut first = vec![turns.take(1).await.unwrap(), turns.take(1).await.unwrap()];
        let mut third = Box::pin(turns.take(1));
        assert!(third.as_mut().now_or_never().is_none());
        let other = turns.take(2).await.unwrap();
        assert!(turns.take(3).now_or_never().is_none(), "all are taken");
        drop(other);
        // The third of the first party does not stand before others in the line of all.
        assert!(turns.take(2).now_or_never().is_some());
        assert!(third.as_mut().now_or_never().is_none());
        first.pop();
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn line_has_an_end() {
        let turns = Turns::new(2, 1);
        let first = turns.take(1).await.unwrap();
        let mut waiting: Vec<_> = (0..LINE_MAX).map(|_| Box::pin(turns.take(1))).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert!(turns.take(1).now_or_never().unwrap().is_none());
        assert!(turns.take(2).now_or_never().unwrap().is_some(), "another party's line");
        drop(first);
        assert!(waiting.remove(0).now_or_never().unwrap().is_some());
    }
}
