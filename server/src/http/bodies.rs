//! How many bytes of bodies are held at a time, in the whole process.
//!
//! Callers who were authenticated share one budget. Strangers share another, small one, of which each
//! address has a part, so that they can take nothing from the others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Bytes;
use domain::problem::{Problem, ProblemCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::ApiError;

/// What known callers may have in flight together: 24 imports of the largest size.
const KNOWN: usize = 24 * 1024 * 1024;
/// What strangers may have in flight together.
const STRANGERS: usize = 4 * 1024 * 1024;
/// What one address of theirs may.
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
    address: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// A body that is being read, with its part of a budget.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    budget: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
    /// The address that it is counted for.
    of: Option<(Bodies, IpAddr)>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(KNOWN, STRANGERS, ADDRESS)
    }
}

impl Bodies {
    fn new(known: usize, strangers: usize, address: usize) -> Self {
        Self(Arc::new(Inner {
            known: Arc::new(Semaphore::new(known)),
            strangers: Arc::new(Semaphore::new(strangers)),
            address,
            held: Mutex::default(),
        }))
    }

    /// A body of a caller who was authenticated.
    pub(crate) fn known(&self) -> Kept {
        Kept::of(Some(Arc::clone(&self.0.known)), None)
    }

    /// A body of anybody else. An unknown address has no part of its own.
    pub(crate) fn stranger(&self, address: Option<IpAddr>) -> Kept {
        let of = address.map(|address| (self.clone(), network(address)));
        Kept::of(Some(Arc::clone(&self.0.strangers)), of)
    }

    fn take(&self, address: IpAddr, bytes: usize) -> bool {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = held.entry(address).or_default();
        let fits = *sum + bytes <= self.0.address;
        if fits {
            *sum += bytes;
        }
        fits
    }

    fn give_back(&self, address: IpAddr, bytes: usize) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = held.get_mut(&address) {
            *sum = sum.saturating_sub(bytes);
            if *sum == 0 {
                held.remove(&address);
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

    const fn of(budget: Option<Arc<Semaphore>>, of: Option<(Bodies, IpAddr)>) -> Self {
        Self { bytes: Vec::new(), budget, permit: None, of }
    }

    /// How many bytes there are.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds some, of so many that were announced.
    pub(crate) fn add(&mut self, data: &[u8], announced: usize) -> Result<(), ApiError> {
        if let Some(budget) = &self.budget {
            let bytes = u32::try_from(data.len()).map_err(|_| full())?;
            let more = Arc::clone(budget).try_acquire_many_owned(bytes).map_err(|_| full())?;
            if let Some((bodies, address)) = &self.of
                && !bodies.take(*address, data.len())
            {
                return Err(full());
            }
            match &mut self.permit {
                Some(permit) => permit.merge(more),
                None => self.permit = Some(more),
            }
        }
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(announced.max(data.len()));
        }
        self.bytes.extend_from_slice(data);
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
        if let Some((bodies, address)) = &self.of {
            bodies.give_back(*address, self.bytes.len());
        }
    }
}

fn full() -> ApiError {
    let mut problem = Problem::new(
        ProblemCode::Unavailable,
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
        let bodies = Bodies::new(100, 0, 0);
        let mut kept = bodies.known();
        kept.add(&[1; 60], 0).unwrap();
        let bytes = kept.into_bytes();
        let copy = bytes.clone();
        drop(bytes);
        let refused = bodies.known().add(&[1; 41], 0).unwrap_err();
        assert_eq!(refused.problem().status, 503);
        assert_eq!(refused.problem().retry_after_s, Some(1));
        bodies.known().add(&[1; 40], 0).unwrap();
        drop(copy);
        bodies.known().add(&[1; 100], 0).unwrap();
    }

    #[test]
    fn strangers_have_a_part_for_each_address_and_take_nothing_from_known_callers() {
        let bodies = Bodies::new(100, 100, 30);
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
        bodies.known().add(&[1; 100], 0).unwrap();
        drop(first);
        bodies.stranger(Some(ONE)).add(&[1; 30], 0).unwrap();
        drop(others);
        assert!(bodies.0.held.lock().unwrap().is_empty());
    }

    #[test]
    fn ipv6_network_counts_as_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
