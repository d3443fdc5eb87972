//! Servers that keep facts about tokens, and never answer by what was revoked.
//!
//! Every server ("replica") over one database keeps the facts that its verifications looked up. A change
//! to these facts leaves a row in `revisions`, in its own transaction, and the ids of these rows are in the
//! order of their commits. A replica reads the rows after the last one that it has applied, forgets the facts
//! that they name, and notes in its row of `replicas` how far it is.
//!
//! # Once a change that narrows access is answered, no replica lets anything pass by earlier facts
//!
//! This rests on leases:
//!
//! - A replica answers only while it has a lease. To renew it, it notes the moment (its own monotonic clock),
//!   counts up its row, *then* reads the new revisions, applies them, and only then has a lease, for
//!   [`LEASE`] less a margin from the moment that it noted.
//! - So any lease that is valid [`LEASE`] after a commit was renewed by reading revisions after that commit.
//!   A change could simply wait for that long.
//! - It need not: it is answered as soon as every other replica has noted that it has applied the revision
//!   (`settle`). A replica whose row was not counted up for the time of a lease has none, and is not
//!   waited for. No machine's clock is compared with another's.
//! - `NOTIFY` makes replicas read at once. It is a hint: nothing is wrong when it is lost.
//!
//! # Memory never disagrees with the database
//!
//! The argument above needs that the database keeps what it has committed. A failover to an asynchronous
//! standby or a restored backup takes commits back, and new commits get their numbers. So a replica proves
//! with every renewal that the history is the one that it knows (`follow`):
//!
//! - Its row was renewed as often as it says itself: the renewal compares before it counts up.
//! - The last revision that it has applied is still there, with the same nonce.
//! - The same server process answers, on the same timeline (`store::history::Mark`); the epoch, which an
//!   operator can raise, is the same; and the connection is the one of the last renewal.
//!
//! If one of these fails, the replica ends its lease and forgets everything before it answers again. It
//! connects anew, and forgets everything, also when its lease has ended: a process that was stopped may hold
//! a connection to a primary that was replaced and still runs. Every two seconds it connects a second time
//! to see whether the way to the database leads to another server by now.
//!
//! What was read over a connection from before is neither kept nor answered ([`History::epoch`]). Each new
//! connection for lookups must lead to the follower's server, and each transaction before it commits.
//!
//! A replica whose renewals fail answers nothing but 503, even if it can read: a renewal is a write, and
//! only a write shows that a primary was not replaced. Where every standby has to confirm a commit, a replaced
//! primary commits nothing any more, so that no replica keeps a lease there. With asynchronous replication, or with
//! standbys that stay with it and suffice, it does commit, and no replica can notice that from the inside: it must be fenced
//! (docs/high-availability.md).
//!
//! A server whose keys are not those of the database gets no lease, and ends. The set-up of the instance is a change that
//! each server applies before it is answered; so no server accepts or makes a token with other keys.
//!
//! A change that was committed when the history changes is answered only if its revision is in the history
//! that the server then knows.

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
/// What a replica holds its own lease for shorter: clocks of two machines may run at speeds that
/// differ by a fortieth.
const MARGIN: Duration = Duration::from_millis(50);
/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(667);

/// The servers of this instance.
#[derive(Clone, Copy)]
pub struct Replicas<'a> {
    pub(crate) inner: &'a Inner,
}

/// What this process is among the servers. A command's process is one, too, that never has a lease.
pub(crate) struct Replica {
    pub(crate) id: Uuid,
    pub(crate) lease: Lease,
    pub(crate) started_at: OffsetDateTime,
    /// The last revision that was applied here.
    applied: AtomicI64,
    /// There may be new revisions.
    hint: Notify,
    /// The database is there again.
    pub(crate) back: watch::Sender<()>,
    /// Whether the keys of this process were found not to be those of the database.
    pub(crate) other_keys: watch::Sender<bool>,
    /// Whether somebody renews the lease.
    is_followed: AtomicBool,
    /// Whether that one has a connection.
    is_connected: AtomicBool,
    /// Whether an attempt to renew the lease has failed since it was renewed.
    is_failing: AtomicBool,
    /// When it was logged last that clocks differ, in seconds; 0 when it was not.
    told_of_clocks: AtomicU64,
    /// Attempts to renew the lease that have failed. Sent with every attempt.
    attempts: watch::Sender<u64>,
    /// Why the last of them failed.
    failure: Mutex<String>,
    /// When the count of another replica's renewals was first seen to be what it is.
    seen: Mutex<HashMap<Uuid, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    renewals: i64,
    since: Duration,
}

impl Replica {
    /// Reports whether it may be logged that clocks differ: once in ten minutes.
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
            failure: Mutex::new("no answer in time".to_owned()),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn applied(&self) -> i64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Forgets how far others have counted: in another history they may have counted further.
    fn forget_others(&self) {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// Forgets how far this one has counted: its row was removed, and a new one counts from the beginning.
    fn forget_other(&self, id: Uuid) {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id);
    }

    /// Notes how far others have counted.
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

    /// For how long this replica is known not to have renewed its lease.
    fn silent_for(&self, other: Other, now: Duration) -> Duration {
        self.known_silence(other, now).unwrap_or(Duration::ZERO)
    }

    /// The same; `None` of one that was never seen.
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
        assert_eq!(replica.silent_for(other(1), at(9)), Duration::ZERO, "never seen");
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
