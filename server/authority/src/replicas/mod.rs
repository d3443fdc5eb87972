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
//!   it has applied the revision (`transaction/settle.rs`). A replica whose row was not counted up for the
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
//! ([`crate::lease::History::epoch`]). Each new connection for lookups, and each transaction before
//! it commits, must have reached the follower's server.
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
mod list;

pub use crate::lease::LEASE;
use crate::state::Inner;

/// The servers of this instance.
#[derive(Clone, Copy)]
pub struct Replicas<'a> {
    pub(crate) inner: &'a Inner,
}
