//! Writes audit rows.
//!
//! The end of a workspace's chain is locked after everything else of that workspace, and held until
//! the transaction ends. Locks that tenants share come after it, and the end of the instance's
//! chain comes after those (`store/locks.rs`). An operation that changes several things locks all of them
//! before its first row.

use domain::ids::WorkspaceId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    ServiceError,
    kernel::{Author, Change, Head, INSTANCE, OpContext, START},
    keys::Keys,
    store::{
        StoreError,
        audit_chain::{self as store, LockedHead},
        instance::has_these_keys,
    },
};

/// Locks the end of a workspace's chain, for a change that continues with locks that tenants share:
/// it must not wait for the chain while it holds those.
pub(crate) async fn hold_end(
    connection: &mut PgConnection,
    ctx: &OpContext,
    workspace: WorkspaceId,
) -> Result<(), ServiceError> {
    lock_end(connection, &ctx.keys, workspace.0).await.map(drop)
}

/// Writes the audit row of a change. Only checks under locks that tenants share may follow it.
pub(crate) async fn record(
    connection: &mut PgConnection,
    ctx: &OpContext,
    change: Change<'_>,
) -> Result<(), ServiceError> {
    record_by(connection, (&ctx.keys, &Author::of(ctx), ctx.now), change).await
}

/// Writes the audit row of a change that an author began earlier.
pub(crate) async fn record_by(
    connection: &mut PgConnection,
    (keys, author, now): (&Keys, &Author, OffsetDateTime),
    change: Change<'_>,
) -> Result<(), ServiceError> {
    let chain = change.workspace.map_or(INSTANCE, |workspace| workspace.0);
    let (head, id) = lock_end(connection, keys, chain).await?;
    let event = author.event(id, now, change);
    let (link, head) = event.after(keys, &head).ok_or_else(missing_key)?;
    Ok(store::append(connection, &event, &link, &head).await?)
}

/// Writes the audit rows of many changes in one workspace, in order.
pub(crate) async fn record_all(
    connection: &mut PgConnection,
    (keys, author, now): (&Keys, &Author, OffsetDateTime),
    workspace: WorkspaceId,
    changes: Vec<Change<'_>>,
) -> Result<(), ServiceError> {
    let Some(more) = changes.len().checked_sub(1) else { return Ok(()) };
    let (mut head, first) = lock_end(connection, keys, workspace.0).await?;
    let mut ids = store::next_ids(connection, more).await?;
    ids.insert(0, first);
    let mut rows = Vec::with_capacity(changes.len());
    for (change, id) in changes.into_iter().zip(ids) {
        let event = author.event(id, now, change);
        let (link, end) = event.after(keys, &head).ok_or_else(missing_key)?;
        head = end;
        rows.push((event, link));
    }
    Ok(store::append_all(connection, &rows, &head).await?)
}

/// Locks the end of a chain, and begins the chain if it doesn't exist. Returns the end, and the id
/// of the next row: within a chain, ids increase with positions.
///
/// Changes are still accepted if the end was tampered with; otherwise leaked tokens could not be
/// revoked. But the next row must not repair the end either: it leaves a position free, so that
/// every later verification reports a missing row.
///
/// A server whose keys are not those of the database would see every end as tampered with. It is
/// refused, because its row would break the chain. Before the instance is set up, no keys count
/// yet ([`super::adopt::adopt_anew`]).
async fn lock_end(
    connection: &mut PgConnection,
    keys: &Keys,
    chain: Uuid,
) -> Result<(Head, i64), ServiceError> {
    let locked = match store::lock_head(connection, chain).await? {
        Some(locked) => locked,
        None => begin(connection, keys, chain).await?,
    };
    let last = locked.last_seq.unwrap_or_default();
    let mut head = locked.head;
    if head.is_whole(keys) != Some(true) || last > head.seq {
        match has_these_keys(connection, keys).await? {
            Some(true) => {}
            Some(false) => return Err(other_keys()),
            None => return Ok((head, locked.next_id)),
        }
        tracing::error!(%chain, "the end of this audit chain was changed");
        head.seq = head.seq.max(last) + 1;
    }
    Ok((head, locked.next_id))
}

/// Begins a chain and locks its end.
async fn begin(
    connection: &mut PgConnection,
    keys: &Keys,
    chain: Uuid,
) -> Result<LockedHead, ServiceError> {
    if has_these_keys(connection, keys).await? == Some(false) {
        return Err(other_keys());
    }
    let last = store::last_seq(connection, chain).await?;
    let start = match last {
        None => Head::start(keys, chain),
        Some(last) => Head::sealed(keys, chain, last + 1, START.to_vec()),
    };
    let made = store::insert_head(connection, &start.ok_or_else(missing_key)?).await?;
    if made && last.is_some() {
        tracing::error!(%chain, "the end of this audit chain was removed");
    }
    let locked = store::lock_head(connection, chain).await?;
    locked.ok_or_else(|| ServiceError::internal("the end of an audit chain disappeared"))
}

fn other_keys() -> ServiceError {
    StoreError::away("the keys do not match this database").into()
}

fn missing_key() -> ServiceError {
    ServiceError::internal("the newest audit key is missing")
}
