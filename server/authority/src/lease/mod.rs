//! The lease of a server: its state as a replica, and the history of the database that it follows.
//! The module `replicas` explains what both are for.

mod followed;
mod history;
#[expect(clippy::module_inception, reason = "this file defines the type `Lease`")]
mod lease;

pub(crate) use history::{Break, History, Made};
pub(crate) use lease::Lease;

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::store::replicas::Other;

/// How long a lease is.
pub const LEASE: Duration = Duration::from_secs(2);
/// The margin by which a replica shortens its own lease: the clocks of two machines may differ in
/// speed by a fortieth.
pub(crate) const MARGIN: Duration = Duration::from_millis(50);
/// How often a lease is renewed.
pub(crate) const RENEW_EVERY: Duration = Duration::from_millis(667);

/// The state of this process as a replica. A command's process has one too, but never has a lease.
pub(crate) struct Replica {
    pub(crate) id: Uuid,
    pub(crate) lease: Lease,
    pub(crate) started_at: OffsetDateTime,
    /// The last revision that was applied here.
    pub(crate) applied: AtomicI64,
    /// Signals that there may be new revisions.
    pub(crate) hint: Notify,
    /// Signals that the database is available again.
    pub(crate) back: watch::Sender<()>,
    /// Whether the keys of this process were found to differ from those of the database.
    pub(crate) other_keys: watch::Sender<bool>,
    /// Whether a task renews the lease.
    pub(crate) is_followed: AtomicBool,
    /// Whether that task has a connection.
    pub(crate) is_connected: AtomicBool,
    /// Whether an attempt to renew the lease has failed since the last renewal.
    pub(crate) is_failing: AtomicBool,
    /// When a clock difference was last logged, in seconds; 0 if it never was.
    told_of_clocks: AtomicU64,
    /// The number of failed attempts to renew the lease. Sent with every attempt.
    pub(crate) attempts: watch::Sender<u64>,
    /// Why the last attempt failed.
    pub(crate) failure: Mutex<String>,
    /// When the current renewal count of each other replica was first observed.
    seen: Mutex<HashMap<Uuid, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    renewals: i64,
    since: Duration,
}

impl Replica {
    /// Returns whether a clock difference may be logged: once in ten minutes.
    pub(crate) fn may_tell_of_clocks(&self, now: Duration) -> bool {
        let told = self.told_of_clocks.load(Ordering::Relaxed);
        let may = told == 0 || now.as_secs() >= told + 600;
        if may {
            self.told_of_clocks.store(now.as_secs().max(1), Ordering::Relaxed);
        }
        may
    }

    pub(crate) fn new(id: Uuid, started_at: OffsetDateTime, without_lease: bool) -> Self {
        Self {
            id,
            lease: Lease::new(without_lease),
            started_at,
            applied: AtomicI64::new(0),
            hint: Notify::new(),
            back: watch::Sender::new(()),
            other_keys: watch::Sender::new(false),
            is_followed: AtomicBool::new(false),
            is_connected: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            told_of_clocks: AtomicU64::new(0),
            attempts: watch::Sender::new(0),
            failure: Mutex::new("timed out waiting for the database".to_owned()),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn applied(&self) -> i64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Clears the observed counts of other replicas: in another history they may have counted
    /// further.
    pub(crate) fn forget_others(&self) {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// Clears the observed count of this replica: its row was removed, and a new one counts from
    /// the beginning.
    pub(crate) fn forget_other(&self, id: Uuid) {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id);
    }

    /// Records the counts of other replicas.
    pub(crate) fn observe(&self, others: &[Other], now: Duration) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.retain(|id, _| others.iter().any(|other| other.id == *id));
        for other in others {
            let known =
                seen.entry(other.id).or_insert(Seen { renewals: other.renewals, since: now });
            if known.renewals != other.renewals {
                *known = Seen { renewals: other.renewals, since: now };
            }
        }
    }

    /// Returns how long this replica is known not to have renewed its lease.
    pub(crate) fn silent_for(&self, other: Other, now: Duration) -> Duration {
        self.known_silence(other, now).unwrap_or(Duration::ZERO)
    }

    /// Returns how long this replica is known not to have renewed its lease; `None` if it was never
    /// observed.
    pub(crate) fn known_silence(&self, other: Other, now: Duration) -> Option<Duration> {
        let seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = seen.get(&other.id)?;
        let renewed = known.renewals != other.renewals;
        Some(if renewed { Duration::ZERO } else { now.saturating_sub(known.since) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_first_sight_of_the_renewal_count() {
        let replica = Replica::new(Uuid::nil(), OffsetDateTime::UNIX_EPOCH, false);
        let at = Duration::from_secs;
        let other = |renewals| Other { id: Uuid::max(), renewals };
        assert_eq!(replica.silent_for(other(1), at(9)), Duration::ZERO, "not seen before");
        replica.observe(&[other(1)], at(10));
        replica.observe(&[other(1)], at(11));
        assert_eq!(replica.silent_for(other(1), at(13)), at(3));
        assert_eq!(replica.silent_for(other(2), at(13)), Duration::ZERO, "renewed since");
        replica.observe(&[other(2)], at(14));
        assert_eq!(replica.silent_for(other(2), at(15)), at(1));
        replica.forget_others();
        assert_eq!(replica.silent_for(other(2), at(16)), Duration::ZERO, "of another history");
        replica.observe(&[other(2)], at(16));
        assert_eq!(replica.silent_for(other(2), at(18)), at(2));
        replica.forget_other(Uuid::max());
        assert_eq!(replica.silent_for(other(2), at(18)), Duration::ZERO, "another row");
        replica.observe(&[], at(16));
        assert_eq!(replica.silent_for(other(2), at(20)), Duration::ZERO, "came back");
    }
}
