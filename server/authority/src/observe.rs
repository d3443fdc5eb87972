//! What a server can say about itself at this moment, without asking anybody.

use std::time::Duration;

use crate::{Authority, counters::Snapshot};

/// The state of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What it has counted.
    pub snapshot: Snapshot,
    /// Tokens whose facts are in the cache.
    pub cache_entries: u64,
    /// Texts that were not looked up, because too many before them were not tokens, or not sessions.
    pub unknown_refused: u64,
    /// How long ago its lease was renewed; `None` without one.
    pub lease_age: Option<Duration>,
    /// Whether it may answer from its cache.
    pub lease_valid: bool,
    /// Tokens whose uses wait to be written.
    pub usage_queue: u64,
    /// Uses that were never noted, for lack of room.
    pub usage_dropped: u64,
    /// The connections to the database.
    pub pool: PoolState,
}

/// Connections to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Open, and nobody's at the moment.
    pub idle: u64,
    /// At work.
    pub used: u64,
}

impl Authority {
    /// Looks.
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
