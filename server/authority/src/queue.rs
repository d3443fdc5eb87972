//! A queue for places that each count towards several parties at a time.
//!
//! A request waits until a place is free and all its parties have room for one more. It takes
//! everything that it needs at once: while it waits, it holds nothing that another request waits
//! for. Of the requests that could take a free place, the one whose parties have the fewest places
//! is next. Among equals, the one whose first party has the fewest is next, so that one member of a
//! crowd cannot take the places of the others. Among these, the first to arrive is next.
//!
//! Requests of the same parties stand in one line. A line has a limit ([`LINE_MAX`]), because
//! waiting requests occupy memory.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The maximum number of requests of the same parties that wait at a time.
const LINE_MAX: usize = 512;

/// The parties of a request.
type Parties<P> = (P, Option<P>);

/// The places.
#[derive(Debug)]
pub(crate) struct Queue<P: Copy + Eq + Hash> {
    each: usize,
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P: Copy + Eq + Hash> {
    free: usize,
    /// The number of places of each party that has any.
    taken: HashMap<P, usize>,
    /// The waiting requests, in order of arrival.
    lines: HashMap<Parties<P>, BTreeMap<u64, oneshot::Sender<Place<P>>>>,
    next: u64,
}

/// A place, returned when dropped.
#[derive(Debug)]
pub(crate) struct Place<P: Copy + Eq + Hash> {
    queue: Arc<Queue<P>>,
    parties: Parties<P>,
}

/// A request that waits in a line, until dropped.
struct Waiting<'a, P: Copy + Eq + Hash> {
    queue: &'a Queue<P>,
    parties: Parties<P>,
    number: u64,
}

/// Places that were assigned, and the requests that wait for them.
type Given<P> = Vec<(oneshot::Sender<Place<P>>, Place<P>)>;

impl<P: Copy + Eq + Hash> Queue<P> {
    /// Returns a queue with this many places, of which one party has at most `each`.
    pub(crate) fn new(all: usize, each: usize) -> Arc<Self> {
        let state =
            State { free: all.max(1), taken: HashMap::new(), lines: HashMap::new(), next: 0 };
        Arc::new(Self { each: each.max(1), state: Mutex::new(state) })
    }

    /// Waits for a place. Returns `None` when too many requests of the same parties wait already.
    pub(crate) async fn take(self: &Arc<Self>, parties: Parties<P>) -> Option<Place<P>> {
        let (waiting, given) = {
            let mut state = self.state();
            let line = state.lines.get(&parties).map_or(0, BTreeMap::len);
            if line == 0 && state.has_room(parties, self.each) {
                return Some(state.give(parties, self));
            }
            if line >= LINE_MAX {
                return None;
            }
            let (sender, given) = oneshot::channel();
            let number = state.next;
            state.next += 1;
            state.lines.entry(parties).or_default().insert(number, sender);
            (Waiting { queue: self.as_ref(), parties, number }, given)
        };
        let place = given.await.ok();
        drop(waiting);
        place
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Copy + Eq + Hash> State<P> {
    fn count(&self, party: P) -> usize {
        self.taken.get(&party).copied().unwrap_or_default()
    }

    /// Returns the larger number of places that one of these parties has.
    fn most(&self, (one, other): Parties<P>) -> usize {
        self.count(one).max(other.map_or(0, |other| self.count(other)))
    }

    fn has_room(&self, parties: Parties<P>, each: usize) -> bool {
        self.free > 0 && self.most(parties) < each
    }

    fn give(&mut self, parties: Parties<P>, queue: &Arc<Queue<P>>) -> Place<P> {
        self.free -= 1;
        for party in [Some(parties.0), parties.1].into_iter().flatten() {
            *self.taken.entry(party).or_default() += 1;
        }
        Place { queue: Arc::clone(queue), parties }
    }

    fn take_back(&mut self, parties: Parties<P>) {
        self.free += 1;
        for party in [Some(parties.0), parties.1].into_iter().flatten() {
            if let Some(count) = self.taken.get_mut(&party) {
                *count -= 1;
                if *count == 0 {
                    self.taken.remove(&party);
                }
            }
        }
    }

    /// Assigns free places to waiting requests.
    fn serve(&mut self, queue: &Arc<Queue<P>>) -> Given<P> {
        let mut given = Vec::new();
        loop {
            let lines =
                self.lines.iter().filter(|(parties, _)| self.has_room(**parties, queue.each));
            let next = lines
                .filter_map(|(parties, line)| {
                    let (number, _) = line.first_key_value()?;
                    Some(((self.most(*parties), self.count(parties.0), *number), *parties))
                })
                .min_by_key(|(rank, _)| *rank);
            let Some((.., parties)) = next else { return given };
            let Some(line) = self.lines.get_mut(&parties) else { return given };
            let first = line.pop_first();
            if line.is_empty() {
                self.lines.remove(&parties);
            }
            let Some((_, sender)) = first else { return given };
            given.push((sender, self.give(parties, queue)));
        }
    }
}

impl<P: Copy + Eq + Hash> Drop for Place<P> {
    fn drop(&mut self) {
        let given = {
            let mut state = self.queue.state();
            state.take_back(self.parties);
            state.serve(&self.queue)
        };
        for (sender, place) in given {
            // If the request does not wait any more, its place is dropped and assigned to the next
            // one.
            let _ = sender.send(place);
        }
    }
}

impl<P: Copy + Eq + Hash> Drop for Waiting<'_, P> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        if let Some(line) = state.lines.get_mut(&self.parties) {
            line.remove(&self.number);
            if line.is_empty() {
                state.lines.remove(&self.parties);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn waiting_request_takes_no_place_from_its_party() {
        let queue = Queue::new(4, 2);
        let full = [queue.take((1, Some(9))).await, queue.take((2, Some(9))).await];
        let mut waits = Box::pin(queue.take((3, Some(9))));
        assert!(waits.as_mut().now_or_never().is_none());
        // Its own party continues elsewhere, with all the places that it may have.
        let own = [queue.take((3, None)).await, queue.take((3, Some(8))).await];
        assert!(own.iter().all(Option::is_some));
        drop(own);
        assert!(waits.as_mut().now_or_never().is_none());
        drop(full);
        assert!(waits.await.is_some());
    }

    #[tokio::test]
    async fn free_place_goes_to_the_party_with_the_fewest() {
        let queue = Queue::new(3, 2);
        let mut busy = vec![queue.take((1, None)).await, queue.take((2, None)).await];
        busy.push(queue.take((2, None)).await);
        let mut many: Vec<_> = (0..3).map(|_| Box::pin(queue.take((1, None)))).collect();
        assert!(many.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        let mut late = Box::pin(queue.take((3, None)));
        assert!(late.as_mut().now_or_never().is_none());
        drop(busy.pop());
        assert!(late.now_or_never().is_some());
        let _first = many[0].as_mut().now_or_never().unwrap();
        assert!(many[1].as_mut().now_or_never().is_none());
    }

    #[tokio::test]
    async fn crowd_of_one_member_delays_no_other_member() {
        let queue = Queue::new(10, 2);
        let crowd = async || queue.take((1, Some(9))).await;
        let mut busy = vec![crowd().await, crowd().await];
        let mut more: Vec<_> = (0..3).map(|_| Box::pin(queue.take((1, Some(9))))).collect();
        assert!(more.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        let mut other = Box::pin(queue.take((2, Some(9))));
        assert!(other.as_mut().now_or_never().is_none());
        drop(busy.pop());
        let _other = other.now_or_never().expect("the member without a place is next");
        drop(busy.pop());
        assert!(more[0].as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn place_of_a_cancelled_request_goes_to_the_next_one() {
        let queue = Queue::new(1, 1);
        let place = queue.take((1, None)).await;
        let mut gone = Box::pin(queue.take((1, None)));
        let mut given = Box::pin(queue.take((1, None)));
        let mut next = Box::pin(queue.take((1, None)));
        for one in [&mut gone, &mut given, &mut next] {
            assert!(one.as_mut().now_or_never().is_none());
        }
        drop(gone);
        drop(place);
        // It has the place, but never polls for it.
        drop(given);
        assert!(next.now_or_never().is_some());
        let state = queue.state();
        assert!(state.lines.is_empty() && state.taken.is_empty() && state.free == 1);
    }

    #[tokio::test]
    async fn full_line_refuses_further_requests() {
        let queue = Queue::new(2, 1);
        let first = queue.take((1, None)).await;
        let mut waiting: Vec<_> = (0..LINE_MAX).map(|_| Box::pin(queue.take((1, None)))).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert!(queue.take((1, None)).now_or_never().unwrap().is_none());
        assert!(
            queue.take((2, None)).now_or_never().unwrap().is_some(),
            "the other party has its own line"
        );
        drop(first);
        assert!(waiting.remove(0).now_or_never().unwrap().is_some());
    }
}
