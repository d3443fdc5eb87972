//! How many bytes of bodies are held at a time, in the whole process.
//!
//! Callers who were authenticated share one budget. Strangers share another, small one, so that they can
//! take nothing from the others. Of both budgets nobody has more than a part: a workspace's tokens, a person,
//! a stranger's address. What counts is the memory set aside: the length that a request announces before it
//! arrives, and what a growing buffer holds in reserve.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Bytes;
use domain::problem::{Problem, ProblemCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::problem::ApiError;

/// What known callers may have in flight together: 24 imports of the largest size.
const KNOWN: usize = 24 * 1024 * 1024;
/// What strangers may have in flight together.
const STRANGERS: usize = 4 * 1024 * 1024;
/// What one workspace or one person may have in flight.
const HOLDER: usize = 6 * 1024 * 1024;
/// What one address of strangers may.
const ADDRESS: usize = 512 * 1024;
/// Seconds after which a caller may try again.
const AGAIN_S: u64 = 1;

/// The budgets.
#[derive(Clone, Debug)]
pub(crate) struct Bodies(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    holder: usize,
    address: usize,
    held: Mutex<HashMap<Part, usize>>,
}

/// Who has a part of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// A workspace or a person.
    Holder(Uuid),
    /// A stranger's address.
    Address(IpAddr),
}

/// A body that is being read, with its part of a budget.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    budget: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
    /// The bytes that were counted, at least as many as there are.
    counted: usize,
    /// The part that they are counted in.
    of: Option<(Bodies, Part)>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(KNOWN, STRANGERS, HOLDER, ADDRESS)
    }
}

impl Bodies {
    fn new(known: usize, strangers: usize, holder: usize, address: usize) -> Self {
        Self(Arc::new(Inner {
            known: Arc::new(Semaphore::new(known)),
            strangers: Arc::new(Semaphore::new(strangers)),
            holder,
            address,
            held: Mutex::default(),
        }))
    }

    /// A body of a caller who was authenticated, on behalf of this workspace or person.
    pub(crate) fn known(&self, holder: Uuid) -> Kept {
        Kept::of(Some(Arc::clone(&self.0.known)), Some((self.clone(), Part::Holder(holder))))
    }

    /// A body of anybody else. An unknown address has no part of its own.
    pub(crate) fn stranger(&self, address: Option<IpAddr>) -> Kept {
        let of = address.map(|address| (self.clone(), Part::Address(network(address))));
        Kept::of(Some(Arc::clone(&self.0.strangers)), of)
    }

    fn take(&self, part: Part, bytes: usize) -> bool {
        let most = match part {
            Part::Holder(_) => self.0.holder,
            Part::Address(_) => self.0.address,
        };
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = held.get(&part).copied().unwrap_or_default() + bytes;
        let fits = sum <= most;
        if fits {
            held.insert(part, sum);
        }
        fits
    }

    fn give_back(&self, part: Part, bytes: usize) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = held.get_mut(&part) {
            *sum = sum.saturating_sub(bytes);
            if *sum == 0 {
                held.remove(&part);
            }
        }
    }
}

/// Whom an address stands for: one host, or with IPv6 one network of hosts.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Kept {
    /// A body that no budget is asked for.
    pub(crate) const fn uncounted() -> Self {
        Self::of(None, None)
    }

    const fn of(budget: Option<Arc<Semaphore>>, of: Option<(Bodies, Part)>) -> Self {
        Self { bytes: Vec::new(), budget, permit: None, counted: 0, of }
    }

    /// How many bytes there are.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds some, of so many that were announced.
    pub(crate) fn add(&mut self, data: &[u8], announced: usize) -> Result<(), ApiError> {
        let length = self.bytes.len() + data.len();
        if length > self.counted {
            // A buffer that grows without an announcement grows by half, not byte by byte.
            let room = length.max(announced).max(self.counted + self.counted / 2);
            self.count(room - self.counted)?;
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), ApiError> {
        if let Some(budget) = &self.budget {
            let permits = u32::try_from(bytes).map_err(|_| full())?;
            let more = Arc::clone(budget).try_acquire_many_owned(permits).map_err(|_| full())?;
            if let Some((bodies, part)) = &self.of
                && !bodies.take(*part, bytes)
            {
                return Err(full());
            }
            match &mut self.permit {
                Some(permit) => permit.merge(more),
                None => self.permit = Some(more),
            }
        }
        self.counted += bytes;
        Ok(())
    }

    /// The bytes. They are counted until the last copy is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some((bodies, part)) = &self.of {
            bodies.give_back(*part, self.counted);
        }
    }
}

fn full() -> ApiError {
    let mut problem = Problem::new(
        ProblemCode::Busy,
        "Tessera receives too many large requests at the moment. Nothing was changed; try again.",
    );
    problem.retry_after_s = Some(AGAIN_S);
    problem.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn budget_is_whole_again_when_the_last_copy_is_dropped() {
        let bodies = Bodies::new(100, 0, 100, 0);
        let mut kept = bodies.known(Uuid::nil());
        kept.add(&[1; 60], 0).unwrap();
        let bytes = kept.into_bytes();
        let copy = bytes.clone();
        drop(bytes);
        let refused = bodies.known(Uuid::nil()).add(&[1; 41], 0).unwrap_err();
        assert_eq!(refused.problem().status, 503);
        assert_eq!(refused.problem().retry_after_s, Some(1));
        bodies.known(Uuid::nil()).add(&[1; 40], 0).unwrap();
        drop(copy);
        bodies.known(Uuid::nil()).add(&[1; 100], 0).unwrap();
    }

    #[test]
    fn strangers_have_a_part_for_each_address_and_take_nothing_from_known_callers() {
        let bodies = Bodies::new(100, 100, 100, 30);
        let mut first = bodies.stranger(Some(ONE));
        first.add(&[1; 30], 0).unwrap();
        assert!(bodies.stranger(Some(ONE)).add(&[1; 1], 0).is_err());
        let mut others = Vec::new();
        for host in 1..=2 {
            let mut other = bodies.stranger(Some([10, 0, 0, host].into()));
            other.add(&[1; 30], 0).unwrap();
            others.push(other);
        }
        // Ten are left of all.
        assert!(bodies.stranger(Some([10, 0, 0, 9].into())).add(&[1; 11], 0).is_err());
        bodies.stranger(None).add(&[1; 10], 0).unwrap();
        bodies.known(Uuid::nil()).add(&[1; 100], 0).unwrap();
        drop(first);
        bodies.stranger(Some(ONE)).add(&[1; 30], 0).unwrap();
        drop(others);
        assert!(bodies.0.held.lock().unwrap().is_empty());
    }

    #[test]
    fn holder_has_no_more_than_a_part() {
        let bodies = Bodies::new(100, 0, 60, 0);
        let holders = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let mut first = bodies.known(holders[0]);
        first.add(&[1; 50], 0).unwrap();
        assert!(bodies.known(holders[0]).add(&[1; 11], 0).is_err());
        bodies.known(holders[1]).add(&[1; 50], 0).unwrap();
        drop(first);
        bodies.known(holders[0]).add(&[1; 60], 0).unwrap();
        assert!(bodies.0.held.lock().unwrap().is_empty());
    }

    #[test]
    fn memory_that_is_set_aside_counts_before_it_is_filled() {
        let bodies = Bodies::new(100, 100, 100, 100);
        let mut announced = bodies.stranger(Some(ONE));
        announced.add(&[1; 1], 90).unwrap();
        assert!(bodies.stranger(Some(ONE)).add(&[1; 11], 0).is_err());
        announced.add(&[1; 89], 90).unwrap();
        assert!(announced.add(&[1; 11], 90).is_err());
        drop(announced);
        let mut grown = bodies.known(Uuid::nil());
        for _ in 0..40 {
            grown.add(&[1; 1], 0).unwrap();
        }
        assert!(
            grown.bytes.capacity() <= grown.counted,
            "{} {}",
            grown.bytes.capacity(),
            grown.counted
        );
        drop(grown);
        bodies.known(Uuid::nil()).add(&[1; 100], 0).unwrap();
    }

    #[test]
    fn ipv6_network_counts_as_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
