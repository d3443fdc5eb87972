//! The order in which transactions take locks, so that no tenant keeps another one waiting.
//!
//! A lock that tenants share is taken after all locks that a single tenant controls, and held for
//! the shortest time. A transaction never waits for one tenant's rows, or for the end of its chain,
//! while it holds a lock that other tenants need. Checks that need a shared lock come last: the
//! audit row is written by then, and a refusal rolls it back. Creations and imports give up on
//! shared locks after [`crate::store::wait_briefly`].
//!
//! | order | lock | who shares it |
//! |---|---|---|
//! | 1 | [`people`], [`reading`], the row of an audience | administrators of the instance |
//! | 2 | the row of a workspace, the stop of descendants (`store/descendants.rs`) | a workspace |
//! | 3 | rows of tokens, their secrets and audiences | a workspace |
//! | 4 | the end of a workspace's chain: [`crate::audit::hold_end`], or a row of the log | a workspace |
//! | 5 | the meaning of grants (`store/members.rs`), then memberships and invitations | all tenants |
//! | 6 | rows of users | all tenants that a user belongs to |
//! | 7 | attempts to sign in: /48, address, account, pair | people at one address |
//! | 8 | the row of the instance | all tenants, when the instance limits tokens |
//! | 9 | the end of the instance's chain | all who sign in, administrators, refusals |
//! | 10 | the person who makes a change, the owners of its tokens, and the instance's rules (`transaction/callers.rs`), shared | all callers who act for the same people |
//! | 11 | `revision_head`, right before the commit | all tenants |
//!
//! - Two locks of one kind are taken in the order of their ids.
//! - The caller of a change is not locked while it is in progress, so stopping the caller waits for
//!   none of their changes. A change reads its caller again at the commit ([`crate::transaction::callers`]): a
//!   token under the lock of order 4, which a stop needs, too; a person under a shared lock that a
//!   stop of the person takes exclusively, in a separate transaction that takes no other lock.
//! - Invitations that become invalid with their sender are skipped if another transaction has
//!   locked them (`fallen_invitations.rs`).
//! - A statement that writes rows of many tenants skips locked rows (`store/usage.rs`,
//!   `store/names.rs`).
//! - Refusals are written in one transaction for each chain (`background/refusals.rs`).
//! - Granting a higher role is the exception to the first rule: it disables tokens in several
//!   workspaces at once. It waits for each of their locks only for a moment.

use sqlx::PgConnection;

use crate::store::{
    StoreError,
    callers::{Lock, lock},
};

const PEOPLE: i64 = 0x7465_7373_7065_6f70;
const READING: i64 = 0x7465_7373_7265_6164;

/// Locks the roles of users, and the keys of their addresses, until the transaction ends.
/// Administrators change them one after another.
pub(crate) async fn people(connection: &mut PgConnection) -> Result<(), StoreError> {
    alone(connection, PEOPLE).await
}

/// Lets one server at a time read rows that servers of 0.1 wrote: two servers would wait for each
/// other's rows.
pub(crate) async fn reading(connection: &mut PgConnection) -> Result<(), StoreError> {
    alone(connection, READING).await
}

async fn alone(connection: &mut PgConnection, key: i64) -> Result<(), StoreError> {
    lock(connection, &[Lock { key, alone: true }]).await
}
