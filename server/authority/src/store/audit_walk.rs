//! Reads the chains of the audit log for their verification.
//!
//! The functions take no `Tenant`: verification is internal to the log, and no caller sees rows.

use domain::names::Slug;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::kernel::{ChainedEvent, Event, Head, Link};

struct Row {
    id: i64,
    at: OffsetDateTime,
    workspace_id: Option<Uuid>,
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_name: String,
    action: String,
    subject_id: Option<Uuid>,
    subject_name: String,
    surface: String,
    client_ip: Option<String>,
    request_id: String,
    before: Option<Value>,
    after: Option<Value>,
    chain: Option<Uuid>,
    seq: Option<i64>,
    mac: Option<Vec<u8>>,
    key_version: Option<i16>,
}

impl From<Row> for ChainedEvent {
    fn from(row: Row) -> Self {
        let link = match (row.chain, row.seq, row.mac, row.key_version) {
            (Some(chain), Some(seq), Some(mac), Some(key_version)) => {
                Some(Link { chain, seq, mac, key_version })
            }
            _ => None,
        };
        let event = Event {
            id: row.id,
            at: row.at,
            workspace: row.workspace_id,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            action: row.action,
            subject_id: row.subject_id,
            subject_name: row.subject_name,
            surface: row.surface,
            client_ip: row.client_ip,
            request_id: row.request_id,
            before: row.before,
            after: row.after,
        };
        Self { event, link }
    }
}

macro_rules! rows {
    ($rest:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            "SELECT id, at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id,
                    subject_name, surface, client_ip, request_id, before, after, chain, seq, mac,
                    key_version
               FROM audit_events " + $rest,
            $($argument),*
        )
    };
}

/// Makes the whole transaction read one snapshot. Must be its first statement.
pub(crate) async fn freeze(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns every chain that exists or should exist, the instance's chain first.
pub(crate) async fn chains(
    connection: &mut PgConnection,
) -> Result<Vec<(Uuid, Option<Slug>)>, StoreError> {
    sqlx::query!(
        r#"SELECT c.chain AS "chain!", w.slug AS "slug?"
             FROM (SELECT chain FROM audit_heads
                   UNION SELECT chain FROM audit_events WHERE chain IS NOT NULL
                   UNION SELECT id FROM workspaces
                   UNION SELECT '00000000-0000-0000-0000-000000000000'::uuid) AS c (chain)
             LEFT JOIN workspaces w ON w.id = c.chain
            ORDER BY c.chain"#,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(|row| {
        let slug = row.slug.map(|slug| slug.parse()).transpose();
        Ok((row.chain, slug.map_err(|_| StoreError::corrupt("workspaces.slug", row.chain))?))
    })
    .collect()
}

/// Returns the head of a chain.
pub(crate) async fn head(
    connection: &mut PgConnection,
    chain: Uuid,
) -> Result<Option<Head>, StoreError> {
    Ok(sqlx::query_as!(
        Head,
        "SELECT chain, seq, mac, seal, key_version FROM audit_heads WHERE chain = $1",
        chain,
    )
    .fetch_optional(connection)
    .await?)
}

/// Returns the rows of a chain after this sequence number and id, in order.
pub(crate) async fn rows(
    connection: &mut PgConnection,
    chain: Uuid,
    after: (i64, i64),
    limit: i64,
) -> Result<Vec<ChainedEvent>, StoreError> {
    let rows = rows!(
        "WHERE chain = $1 AND (seq, id) > ($2, $3) AND mac IS NOT NULL AND key_version IS NOT NULL
          ORDER BY seq, id LIMIT $4",
        chain,
        after.0,
        after.1,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Returns the rows after this id that belong to no chain, in order.
pub(crate) async fn unchained(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<ChainedEvent>, StoreError> {
    let rows = rows!(
        "WHERE (chain IS NULL OR seq IS NULL OR mac IS NULL OR key_version IS NULL) AND id > $1
          ORDER BY id LIMIT $2",
        after,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
