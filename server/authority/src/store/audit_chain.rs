//! Writes the audit log: its rows, their links, and the heads of the chains. [`super::audit_walk`]
//! reads the chains.
//!
//! The functions take no `Tenant`: chaining is internal to the log, and no caller sees the rows.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::kernel::{Event, Head, Link};

/// The locked head of a chain.
pub(crate) struct LockedHead {
    pub(crate) head: Head,
    /// The id for the next row.
    pub(crate) next_id: i64,
    /// The highest sequence number of the chain's rows, as of the start of the statement. It misses
    /// rows that were committed while the statement waited for the lock.
    pub(crate) last_seq: Option<i64>,
}

/// Locks the head of a chain until the transaction ends.
pub(crate) async fn lock_head(
    connection: &mut PgConnection,
    chain: Uuid,
) -> Result<Option<LockedHead>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT seq, mac, seal, key_version,
                  nextval(pg_get_serial_sequence('audit_events', 'id')) AS "next_id!",
                  (SELECT max(e.seq) FROM audit_events e WHERE e.chain = $1) AS last_seq
             FROM audit_heads WHERE chain = $1 FOR UPDATE"#,
        chain,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| LockedHead {
        head: Head {
            chain,
            seq: row.seq,
            mac: row.mac,
            seal: row.seal,
            key_version: row.key_version,
        },
        next_id: row.next_id,
        last_seq: row.last_seq,
    }))
}

/// Begins a chain. Returns `false` if the chain exists. If two transactions begin the same chain,
/// the second one waits for the first.
pub(crate) async fn insert_head(
    connection: &mut PgConnection,
    head: &Head,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "INSERT INTO audit_heads (chain, seq, mac, seal, key_version) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (chain) DO NOTHING",
        head.chain,
        head.seq,
        head.mac,
        head.seal,
        head.key_version,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Inserts a row and advances the head of its chain, which the caller has locked.
pub(crate) async fn append(
    connection: &mut PgConnection,
    event: &Event,
    link: &Link,
    head: &Head,
) -> Result<(), StoreError> {
    // One statement, because the head stays locked for as long as this takes.
    sqlx::query!(
        "WITH moved AS (
             UPDATE audit_heads SET seq = $16, mac = $17, seal = $19, key_version = $18 WHERE chain = $15
         )
         INSERT INTO audit_events (id, at, workspace_id, actor_kind, actor_id, actor_name, action,
                                   subject_id, subject_name, surface, client_ip, request_id, before,
                                   after, chain, seq, mac, key_version)
         OVERRIDING SYSTEM VALUE
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        event.id,
        event.at,
        event.workspace,
        event.actor_kind,
        event.actor_id,
        event.actor_name,
        event.action,
        event.subject_id,
        event.subject_name,
        event.surface,
        event.client_ip,
        event.request_id,
        event.before,
        event.after,
        link.chain,
        link.seq,
        link.mac,
        link.key_version,
        head.seal,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns ids for this many more rows of a chain whose head is locked, in ascending order.
pub(crate) async fn next_ids(
    connection: &mut PgConnection,
    number: usize,
) -> Result<Vec<i64>, StoreError> {
    let mut ids = sqlx::query_scalar!(
        r#"SELECT nextval(pg_get_serial_sequence('audit_events', 'id')) AS "id!" FROM generate_series(1, $1::bigint)"#,
        i64::try_from(number).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await?;
    ids.sort_unstable();
    Ok(ids)
}

/// Inserts several rows of one chain and advances its head, which the caller has locked.
pub(crate) async fn append_all(
    connection: &mut PgConnection,
    rows: &[(Event, Link)],
    head: &Head,
) -> Result<(), StoreError> {
    // All rows have one author, so the other columns of the first row are those of all.
    let Some((first, Link { chain, key_version, .. })) = rows.first() else { return Ok(()) };
    let events = || rows.iter().map(|(event, _)| event);
    let links = || rows.iter().map(|(_, link)| link);
    let ids: Vec<i64> = events().map(|event| event.id).collect();
    let actions: Vec<&str> = events().map(|event| event.action.as_str()).collect();
    let subjects: Vec<Option<Uuid>> = events().map(|event| event.subject_id).collect();
    let names: Vec<&str> = events().map(|event| event.subject_name.as_str()).collect();
    let befores: Vec<Option<&Value>> = events().map(|event| event.before.as_ref()).collect();
    let afters: Vec<Option<&Value>> = events().map(|event| event.after.as_ref()).collect();
    let seqs: Vec<i64> = links().map(|link| link.seq).collect();
    let macs: Vec<&[u8]> = links().map(|link| link.mac.as_slice()).collect();
    sqlx::query!(
        "WITH moved AS (
             UPDATE audit_heads SET seq = $18, mac = $19, seal = $20, key_version = $17 WHERE chain = $16
         )
         INSERT INTO audit_events (id, at, workspace_id, actor_kind, actor_id, actor_name, surface, client_ip,
                                   request_id, action, subject_id, subject_name, before, after, seq, mac, chain,
                                   key_version)
         OVERRIDING SYSTEM VALUE
         SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, action, subject_id, subject_name, before, after, seq, mac, $16, $17
           FROM unnest($1::bigint[], $10::text[], $11::uuid[], $12::text[], $13::jsonb[], $14::jsonb[],
                       $15::bigint[], $21::bytea[])
                AS new (id, action, subject_id, subject_name, before, after, seq, mac)",
        &ids,
        first.at,
        first.workspace,
        first.actor_kind,
        first.actor_id,
        first.actor_name,
        first.surface,
        first.client_ip,
        first.request_id,
        &actions as _,
        &subjects as _,
        &names as _,
        &befores as _,
        &afters as _,
        &seqs,
        chain,
        key_version,
        head.seq,
        head.mac,
        head.seal,
        &macs as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the highest sequence number of a chain's rows.
pub(crate) async fn last_seq(
    connection: &mut PgConnection,
    chain: Uuid,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT max(seq) FROM audit_events WHERE chain = $1", chain)
        .fetch_one(connection)
        .await?)
}

/// Writes the links of existing rows.
pub(crate) async fn set_links(
    connection: &mut PgConnection,
    links: &[(i64, Link)],
) -> Result<(), StoreError> {
    let ids: Vec<i64> = links.iter().map(|(id, _)| *id).collect();
    let chains: Vec<Uuid> = links.iter().map(|(_, link)| link.chain).collect();
    let seqs: Vec<i64> = links.iter().map(|(_, link)| link.seq).collect();
    let macs: Vec<Vec<u8>> = links.iter().map(|(_, link)| link.mac.clone()).collect();
    let versions: Vec<i16> = links.iter().map(|(_, link)| link.key_version).collect();
    sqlx::query!(
        "UPDATE audit_events e
            SET chain = link.chain, seq = link.seq, mac = link.mac, key_version = link.key_version
           FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bytea[], $5::smallint[])
                AS link (id, chain, seq, mac, key_version)
          WHERE e.id = link.id",
        &ids,
        &chains,
        &seqs,
        &macs,
        &versions,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Updates the head of a chain.
pub(crate) async fn set_head(connection: &mut PgConnection, head: &Head) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE audit_heads SET seq = $2, mac = $3, seal = $4, key_version = $5 WHERE chain = $1",
        head.chain,
        head.seq,
        head.mac,
        head.seal,
        head.key_version,
    )
    .execute(connection)
    .await?;
    Ok(())
}
