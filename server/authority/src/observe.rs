//! The current state of a server, without any query.

use std::time::Duration;

use crate::{counters::Snapshot, state::Authority};

/// The state of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The numbers that it has counted.
    pub snapshot: Snapshot,
    /// Tokens whose facts are in the cache.
    pub cache_entries: u64,
    /// Texts that were not looked up because too many texts before them were neither tokens nor
    /// sessions.
    pub unknown_refused: u64,
    /// The time since its lease was renewed; `None` without a lease.
    pub lease_age: Option<Duration>,
    /// Whether it may answer from its cache.
    pub lease_valid: bool,
    /// Tokens whose uses wait to be written.
    pub usage_queue: u64,
    /// Uses that were never recorded, for lack of room.
    pub usage_dropped: u64,
    /// The connections to the database.
    pub pool: PoolState,
}

/// Connections to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Open and idle.
    pub idle: u64,
    /// In use.
    pub used: u64,
}

impl Authority {
    /// Returns the current state.
    pub fn observe(&self) -> Observation {
        let (lease, now) = (&self.inner.replica.lease, self.inner.clock.elapsed());
        let (usage_queue, usage_dropped) = self.inner.usage.state();
        let size = u64::from(self.inner.pool.size());
        let idle = u64::try_from(self.inner.pool.num_idle()).unwrap_or(u64::MAX);
        Observation {
            snapshot: self.inner.counters.snapshot(),
            cache_entries: u64::try_from(self.inner.cache.len()).unwrap_or(u64::MAX),
            unknown_refused: self.inner.unknown.refused() + self.inner.unknown_sessions.refused(),
            lease_age: lease.age(now),
            lease_valid: lease.is_valid(now),
            usage_queue,
            usage_dropped,
            pool: PoolState { idle, used: size.saturating_sub(idle) },
        }
    }
}
