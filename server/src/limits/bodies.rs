//! Limits the bytes of request bodies that the process holds at a time.
//!
//! Each kind of body ([`Kind`]) has its own room, so that no kind takes memory from another: bodies
//! of unauthenticated clients, verifications, changes, and files. Within a room, each party has
//! only a limited part: a workspace's tokens, a person, or the address of an unauthenticated
//! client. Under pressure, the slowest body of the party that holds the most is dropped ([`Room`]).
//!
//! Bytes count when they arrive, together with the spare capacity of the growing buffer. The
//! announced length of a request takes no room.

use std::net::IpAddr;

use axum::body::Bytes;
use domain::problem::{Problem, ProblemCode};
use uuid::Uuid;

use super::room::{Full, Party, Room, Seat};
use crate::problem::ApiError;

const MIB: usize = 1024 * 1024;
/// Bytes that unauthenticated clients may have in flight: all together, and per address.
const STRANGERS: (usize, usize) = (4 * MIB, MIB / 2);
/// Bytes of verifications that authenticated callers may have in flight: all together, and per
/// workspace or person.
const QUESTIONS: (usize, usize) = (6 * MIB, 3 * MIB);
/// The same for all other bodies except files.
const CHANGES: (usize, usize) = (6 * MIB, 2 * MIB);
/// The same for files of tokens to import: twelve of the largest size, and six.
const FILES: (usize, usize) = (12 * MIB, 6 * MIB);
/// Requests of authenticated callers that wait for their bodies: all together, and per workspace or
/// person. Each of them keeps its head in memory.
const AWAITED: (usize, usize) = (1_024, 256);
/// The capacity of a buffer when the first byte has arrived.
const FIRST: usize = 1_024;
/// Seconds after which a caller may try again.
const AGAIN_S: u64 = 1;

/// The rooms for all kinds of bodies.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    strangers: Room,
    questions: Room,
    changes: Room,
    files: Room,
    awaited: Room,
}

/// The kind of a body that an authenticated caller sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A verification, which gateways and services wait for.
    Question,
    /// Anything else.
    #[default]
    Change,
    /// A file.
    File,
}

/// A body that is being read, with its part of a room.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `None` for a body that takes no room.
    seat: Option<Seat>,
    bytes: Vec<u8>,
    length: usize,
    /// The bytes that are counted, at least as many as the body has.
    counted: usize,
}

impl Default for Bodies {
    fn default() -> Self {
        let room = |(all, each)| Room::new(all, each);
        Self {
            strangers: room(STRANGERS),
            questions: room(QUESTIONS),
            changes: room(CHANGES),
            files: room(FILES),
            awaited: room(AWAITED),
        }
    }
}

impl Bodies {
    /// Returns a body of an authenticated caller, counted for this workspace or person.
    pub(crate) fn known(&self, holder: Uuid, kind: Kind) -> Kept {
        let room = match kind {
            Kind::Question => &self.questions,
            Kind::Change => &self.changes,
            Kind::File => &self.files,
        };
        Kept::of(Some(room.seat(Party::Holder(holder))))
    }

    /// Returns a place for a request of an authenticated caller that waits for its body.
    ///
    /// # Errors
    /// `Busy` if no place is free.
    pub(crate) fn wait(&self, holder: Uuid) -> Result<Seat, ApiError> {
        let seat = self.awaited.seat(Party::Holder(holder));
        seat.take(1).map_err(full)?;
        Ok(seat)
    }

    /// Returns a body of an unauthenticated client.
    pub(crate) fn stranger(&self, address: Option<IpAddr>) -> Kept {
        Kept::of(Some(self.strangers.seat(Party::stranger(address))))
    }
}

impl Kept {
    /// Returns a body that takes no room.
    pub(crate) const fn uncounted() -> Self {
        Self::of(None)
    }

    const fn of(seat: Option<Seat>) -> Self {
        Self { seat, bytes: Vec::new(), length: 0, counted: 0 }
    }

    /// Returns the number of bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// Adds bytes to a body that may have up to `expected` bytes.
    ///
    /// # Errors
    /// `Busy` if there is no room, or if the body was dropped to make room.
    pub(crate) fn add(&mut self, data: &[u8], expected: usize) -> Result<(), ApiError> {
        let length = self.length + data.len();
        let Some(seat) = &self.seat else {
            self.bytes.extend_from_slice(data);
            self.length = length;
            return Ok(());
        };
        if length > self.counted {
            // Grow the buffer by half, not byte by byte.
            let room = (self.counted + self.counted / 2).max(FIRST).min(expected).max(length);
            seat.take(room - self.counted).map_err(full)?;
            self.counted = room;
        }
        seat.write(data, self.counted).map_err(full)?;
        seat.moved(data.len());
        self.length = length;
        Ok(())
    }

    /// Resolves when the body is dropped to make room.
    pub(crate) async fn given_up(&self) -> ApiError {
        match &self.seat {
            Some(seat) => {
                seat.gave_way().await;
                full(Full)
            }
            None => std::future::pending().await,
        }
    }

    /// Returns the bytes. They count until the last copy is dropped, and can no longer be dropped
    /// to make room.
    ///
    /// # Errors
    /// `Busy` if the body was dropped to make room.
    pub(crate) fn into_bytes(mut self) -> Result<Bytes, ApiError> {
        if let Some(seat) = &self.seat {
            self.bytes = seat.bytes().map_err(full)?;
        }
        Ok(if self.bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(self) })
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Resolves when a request that waits for its body must give its place to another one.
pub(crate) async fn gave_way(waiting: Option<&Seat>) -> ApiError {
    match waiting {
        Some(seat) => {
            seat.gave_way().await;
            full(Full)
        }
        None => std::future::pending().await,
    }
}

fn full(_: Full) -> ApiError {
    let mut problem = Problem::new(
        ProblemCode::Busy,
        "Tessera is receiving too many requests. Nothing was changed. Try again.",
    );
    problem.retry_after_s = Some(AGAIN_S);
    problem.into()
}

#[cfg(test)]
impl Bodies {
    /// Returns rooms with these numbers of places for requests that wait for their bodies: in all,
    /// and per holder.
    pub(crate) fn of_awaited(all: usize, each: usize) -> Self {
        Self { awaited: Room::new(all, each), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);
    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const LARGE: usize = 1_000_000;

    fn bodies(strangers: (usize, usize), changes: (usize, usize)) -> Bodies {
        let room = |(all, each)| Room::new(all, each);
        Bodies { strangers: room(strangers), changes: room(changes), ..Bodies::default() }
    }

    /// A body of which this many bytes have arrived.
    fn arrived(mut kept: Kept, length: usize) -> Result<Kept, u16> {
        kept.add(&vec![1; length], LARGE).map_err(|error| error.problem().status)?;
        Ok(kept)
    }

    #[tokio::test]
    async fn bytes_are_released_when_the_last_copy_is_dropped() {
        let bodies = bodies((0, 0), (200_000, 60_000));
        let change = |length| arrived(bodies.known(ONE, Kind::Change), length);
        let bytes = change(40_000).unwrap().into_bytes().unwrap();
        assert_eq!(bytes.len(), 40_000);
        let copy = bytes.clone();
        drop(bytes);
        let mut refused = bodies.known(ONE, Kind::Change);
        let refused = refused.add(&vec![1; 20_001], LARGE).unwrap_err();
        assert_eq!(refused.problem().status, 503);
        assert_eq!(refused.problem().retry_after_s, Some(1));
        change(20_000).unwrap();
        drop(copy);
        change(60_000).unwrap();
    }

    #[tokio::test]
    async fn kinds_of_bodies_have_separate_limits() {
        let bodies = bodies((4_000, 4_000), (4_000, 4_000));
        let whole = |kept| arrived(kept, 2_000).unwrap().into_bytes().unwrap();
        let _strangers =
            [whole(bodies.stranger(Some(ADDRESS))), whole(bodies.known(ONE, Kind::Change))];
        assert_eq!(arrived(bodies.stranger(Some(ADDRESS)), 2_000).err(), Some(503));
        assert_eq!(arrived(bodies.known(ONE, Kind::Change), 2_000).err(), Some(503));
        for kind in [Kind::Question, Kind::File] {
            arrived(bodies.known(ONE, kind), 1_000_000).unwrap();
        }
    }

    #[tokio::test]
    async fn received_bytes_and_a_small_reserve_count() {
        let bodies = bodies((0, 0), (100 * FIRST, 50 * FIRST));
        // The announced length does not matter.
        let mut idle: Vec<_> =
            (0..50).map(|_| arrived(bodies.known(ONE, Kind::Change), 1).unwrap()).collect();
        assert!(idle.iter().all(|kept| kept.given_up().now_or_never().is_none()));
        let mut one = idle.pop().unwrap();
        drop(idle);
        for _ in 1..20_000 {
            one.add(&[1], LARGE).unwrap();
            assert!(one.counted <= FIRST.max(one.length + one.length / 2));
        }
        let counted = one.counted;
        let bytes = one.into_bytes().unwrap();
        assert_eq!(bytes.len(), 20_000);
        let mut short = bodies.known(TWO, Kind::Change);
        short.add(&[1; 10], 10).unwrap();
        assert!(short.counted == 10 && counted < 30_000);
    }

    #[tokio::test]
    async fn abandoned_body_holds_nothing_and_is_refused() {
        let bodies = bodies((0, 0), (40_000, 40_000));
        let mut slow = arrived(bodies.known(ONE, Kind::Change), 15_000).unwrap();
        let fresh = arrived(bodies.known(TWO, Kind::Change), 13_000).unwrap();
        assert_eq!(slow.given_up().now_or_never().unwrap().problem().status, 503);
        assert_eq!(slow.add(&[1], LARGE).unwrap_err().problem().status, 503);
        assert!(slow.into_bytes().is_err());
        assert_eq!(fresh.into_bytes().unwrap().len(), 13_000);
    }
}
