//! Servers that cache facts about tokens, and never accept a revoked token from the cache.
//!
//! Every server ("replica") of one database caches the facts that its verifications looked up. A
//! change to these facts inserts a row into `revisions`, in its own transaction, and the ids of
//! these rows follow the order of their commits. A replica reads the rows after the last one that
//! it has applied, invalidates the facts that they name, and records its position in its row of
//! `replicas`.
//!
//! # Once a narrowing change is acknowledged, no replica accepts anything based on earlier facts
//!
//! This rests on leases:
//!
//! - A replica answers from memory only while it has a lease. To renew it, it notes the time (of
//!   its own monotonic clock), counts up its row, *then* reads the new revisions, applies them, and
//!   only then has a lease, for [`LEASE`] less a margin from the noted time.
//! - So any lease that is valid [`LEASE`] after a commit was renewed by reading revisions after
//!   that commit. A change could simply wait for that long.
//! - It rarely has to: the change is acknowledged as soon as every other replica has recorded that
//!   it has applied the revision (`settle`). A replica whose row was not counted up for the
//!   duration of a lease has no lease, and is not waited for. The clocks of two machines are never
//!   compared.
//! - `NOTIFY` makes replicas read at once. It is only a hint: losing it does no harm.
//!
//! # Memory never disagrees with the database
//!
//! The argument above requires that the database keeps what it has committed. A failover to an
//! asynchronous standby or a restored backup undoes commits, and new commits reuse their numbers.
//! So with every renewal a replica proves that the history is still the known one (`follow`):
//!
//! - Its row was renewed as often as the replica has counted: the renewal compares before it counts
//!   up.
//! - The last revision that it has applied still exists, with the same nonce.
//! - The same server process answers, on the same timeline (`store::history::Mark`); the epoch,
//!   which an operator can raise, is the same; and the connection is that of the last renewal.
//!
//! If one of these checks fails, the replica ends its lease and clears its cache before it answers
//! again. It also reconnects and clears its cache when its lease has expired: a process that was
//! suspended may hold a connection to a primary that was replaced and still runs. Every two seconds
//! it opens a second connection to check whether the address of the database now leads to another
//! server.
//!
//! Results from a connection of an earlier history are neither cached nor returned
//! ([`History::epoch`]). Each new connection for lookups, and each transaction before it commits,
//! must have reached the follower's server.
//!
//! A replica whose renewals fail answers only 503, even if it can read: a renewal is a write, and
//! only a write shows that a primary was not replaced. If every standby has to confirm a commit, a
//! replaced primary cannot commit any more, so no replica keeps a lease there. With asynchronous
//! replication, or if the standbys that stay with the old primary are enough for it, the old
//! primary still commits, and no replica can detect that from the inside: the old primary must be
//! fenced (docs/high-availability.md).
//!
//! A server whose keys are not those of the database gets no lease and exits. The set-up of the
//! instance is a change that each server applies before it is acknowledged, so no server accepts or
//! creates a token with other keys.
//!
//! If the history changes while a change is being committed, the change is acknowledged only if its
//! revision is in the history that the server then follows.

mod follow;
pub(crate) mod history;
mod lease;
mod list;
mod regain;
mod settle;
mod transaction;

pub(crate) use history::History;
pub(crate) use lease::Lease;
pub(crate) use transaction::Transaction;

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

use crate::{authority::Inner, store::replicas::Other};

/// How long a lease is.
pub const LEASE: Duration = Duration::from_secs(2);
/// The margin by which a replica shortens its own lease: the clocks of two machines may differ in
/// speed by a fortieth.
const MARGIN: Duration = Duration::from_millis(50);
/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(667);

/// The servers of this instance.
#[derive(Clone, Copy)]
pub struct Replicas<'a> {
    pub(crate) inner: &'a Inner,
}

/// The state of this process as a replica. A command's process has one too, but never has a lease.
pub(crate) struct Replica {
    pub(crate) id: Uuid,
    pub(crate) lease: Lease,
    pub(crate) started_at: OffsetDateTime,
    /// The last revision that was applied here.
    applied: AtomicI64,
    /// Signals that there may be new revisions.
    hint: Notify,
    /// Signals that the database is available again.
    pub(crate) back: watch::Sender<()>,
    /// Whether the keys of this process were found to differ from those of the database.
    pub(crate) other_keys: watch::Sender<bool>,
    /// Whether a task renews the lease.
    is_followed: AtomicBool,
    /// Whether that task has a connection.
    is_connected: AtomicBool,
    /// Whether an attempt to renew the lease has failed since the last renewal.
    is_failing: AtomicBool,
    /// When a clock difference was last logged, in seconds; 0 if it never was.
    told_of_clocks: AtomicU64,
    /// The number of failed attempts to renew the lease. Sent with every attempt.
    attempts: watch::Sender<u64>,
    /// Why the last attempt failed.
    failure: Mutex<String>,
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
    fn may_tell_of_clocks(&self, now: Duration) -> bool {
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
    fn forget_others(&self) {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// Clears the observed count of this replica: its row was removed, and a new one counts from
    /// the beginning.
    fn forget_other(&self, id: Uuid) {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id);
    }

    /// Records the counts of other replicas.
    fn observe(&self, others: &[Other], now: Duration) {
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
    fn silent_for(&self, other: Other, now: Duration) -> Duration {
        self.known_silence(other, now).unwrap_or(Duration::ZERO)
    }

    /// Does the same, but returns `None` for a replica that was never observed.
    fn known_silence(&self, other: Other, now: Duration) -> Option<Duration> {
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
    fn silence_counts_from_when_the_count_was_first_seen() {
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
