//! Chains rows that were written before the log had chains.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    ServiceError,
    kernel::{Head, INSTANCE, Link},
    keys::Keys,
    store::{audit_chain as store, audit_walk, instance},
};

/// The number of rows per step.
const STEP: i64 = 1_000;

/// Chains the rows that were written before there were chains, in the order of writing. This
/// happens once in a database's life, when the instance's chain begins: an unchained row that is
/// found later is not an old row, but was inserted by hand. If several servers start at once, the
/// others wait here for the first one.
pub(crate) async fn adopt(connection: &mut PgConnection, keys: &Keys) -> Result<(), ServiceError> {
    let missing_key = || ServiceError::internal("the newest audit key is missing");
    let start = Head::start(keys, INSTANCE).ok_or_else(missing_key)?;
    if !store::insert_head(connection, &start).await? {
        return Ok(());
    }
    let mut heads = HashMap::from([(INSTANCE, start)]);
    let mut after = i64::MIN;
    loop {
        let rows = audit_walk::unchained(connection, after, STEP).await?;
        let Some(last) = rows.last() else { break };
        after = last.event.id;
        let mut links: Vec<(i64, Link)> = Vec::with_capacity(rows.len());
        for row in &rows {
            let head = match heads.remove(&row.event.chain()) {
                Some(head) => head,
                None => {
                    first(connection, keys, row.event.chain()).await?.ok_or_else(missing_key)?
                }
            };
            let (link, head) = row.event.after(keys, &head).ok_or_else(missing_key)?;
            heads.insert(head.chain, head);
            links.push((row.event.id, link));
        }
        store::set_links(connection, &links).await?;
    }
    for head in heads.values() {
        store::set_head(connection, head).await?;
    }
    Ok(())
}

/// Chains the instance's rows again with these keys, which the instance is about to be set up
/// with. A server with other keys, such as a second one of the first roll-out, may have begun the
/// chain. Nothing is lost by that, because before the setup there are no users whose actions the
/// log would prove.
pub(crate) async fn adopt_anew(
    connection: &mut PgConnection,
    keys: &Keys,
) -> Result<(), ServiceError> {
    let missing_key = || ServiceError::internal("the newest audit key is missing");
    let locked = store::lock_head(connection, INSTANCE).await?;
    if locked.is_none() || instance::exists(connection).await? {
        return Ok(());
    }
    let mut head = Head::start(keys, INSTANCE).ok_or_else(missing_key)?;
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let rows = audit_walk::rows(connection, INSTANCE, after, STEP).await?;
        let mut links: Vec<(i64, Link)> = Vec::with_capacity(rows.len());
        for row in &rows {
            let (link, next) = row.event.after(keys, &head).ok_or_else(missing_key)?;
            after = (row.link.as_ref().map_or(link.seq, |link| link.seq), row.event.id);
            head = next;
            links.push((row.event.id, link));
        }
        if links.is_empty() {
            return Ok(store::set_head(connection, &head).await?);
        }
        store::set_links(connection, &links).await?;
    }
}

/// Returns the end of a workspace's chain. Begins the chain, unless another server was faster.
async fn first(
    connection: &mut PgConnection,
    keys: &Keys,
    chain: Uuid,
) -> Result<Option<Head>, ServiceError> {
    let Some(start) = Head::start(keys, chain) else { return Ok(None) };
    if store::insert_head(connection, &start).await? {
        return Ok(Some(start));
    }
    Ok(store::lock_head(connection, chain).await?.map(|locked| locked.head))
}
