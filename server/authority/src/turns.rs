//! Turns that many parties take: so many at a time, and fewer for one party.
//!
//! A request waits in the line of its own party first. So one that comes from a party with few requests never
//! waits behind all those of another one.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Parties after which those without a turn are forgotten.
const FORGET_AT: usize = 1_024;

/// The turns.
#[derive(Debug)]
pub struct Turns<P> {
    all: Arc<Semaphore>,
    each: usize,
    of: Mutex<HashMap<P, Weak<Semaphore>>>,
}

/// A turn, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _of_all: Option<OwnedSemaphorePermit>,
    _own: Option<OwnedSemaphorePermit>,
}

impl<P: Eq + Hash> Turns<P> {
    /// Returns so many turns, of which one party has fewer.
    pub fn new(all: usize, each: usize) -> Self {
        let all = all.clamp(1, Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(all)), each: each.max(1), of: Mutex::default() }
    }

    /// Returns turns that only parties limit.
    pub(crate) fn for_each(each: usize) -> Self {
        Self::new(Semaphore::MAX_PERMITS, each)
    }

    /// Waits for a turn.
    pub async fn take(&self, party: P) -> Turn {
        let line = self.line(party);
        // Nobody closes the semaphores.
        let own = line.acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        Turn { _of_all: of_all, _own: own }
    }

    fn line(&self, party: P) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = of.get(&party).and_then(Weak::upgrade) {
            return line;
        }
        if of.len() >= FORGET_AT {
            of.retain(|_, line| line.strong_count() > 0);
        }
        let line = Arc::new(Semaphore::new(self.each));
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
        let mut first = vec![turns.take(1).await, turns.take(1).await];
        let mut third = Box::pin(turns.take(1));
        assert!(third.as_mut().now_or_never().is_none());
        let other = turns.take(2).await;
        assert!(turns.take(3).now_or_never().is_none(), "all are taken");
        drop(other);
        // The third of the first party does not stand before others in the line of all.
        assert!(turns.take(2).now_or_never().is_some());
        assert!(third.as_mut().now_or_never().is_none());
        first.pop();
        assert!(third.now_or_never().is_some());
    }
}
