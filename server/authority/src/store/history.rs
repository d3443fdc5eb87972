//! Identifies the database that answers, and checks whether its history is the one that this server
//! has seen.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// The identity of the database behind a connection: the cluster, its timeline, the start of the
/// PostgreSQL server, and the database's id. A promotion begins a new timeline. Two standbys that
/// are promoted to the same timeline differ in their start. A database that was restored under the
/// same name has another id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) system: i64,
    pub(crate) timeline: String,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) database: i64,
}

impl Mark {
    /// Returns whether this is a standby, which accepts no writes.
    pub(crate) fn is_standby(&self) -> bool {
        self.timeline == STANDBY
    }
}

/// The timeline of a standby.
const STANDBY: &str = "recovery";

/// Returns the mark of the database that answers, or `None` if the engine lacks these functions or
/// does not allow them to this role.
pub(crate) async fn mark(connection: &mut PgConnection) -> Result<Option<Mark>, StoreError> {
    // Not from pg_control_checkpoint(), which shows a new timeline only after the checkpoint that
    // follows a promotion.
    let row = sqlx::query!(
        r#"SELECT (SELECT system_identifier FROM pg_control_system()) AS "system!",
                  CASE WHEN pg_is_in_recovery() THEN 'recovery'
                       ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8)
                  END AS "timeline!",
                  pg_postmaster_start_time() AS "started_at!",
                  (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS "database!""#,
    )
    .fetch_one(connection)
    .await;
    match row.map_err(StoreError::from) {
        Ok(row) => Ok(Some(Mark {
            system: row.system,
            timeline: row.timeline,
            started_at: row.started_at,
            database: row.database,
        })),
        Err(error) if does_not_say(&error) => Ok(None),
        Err(error) if error.is_unavailable() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Returns whether the engine does not support the query, or does not allow it to this role.
fn does_not_say(error: &StoreError) -> bool {
    error.is_of_rights() || error.is_of_schema() || error.is_internal()
}

/// Returns the epoch, which operators raise.
pub(crate) async fn epoch(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("SELECT epoch FROM revision_head").fetch_one(connection).await?)
}

/// Disables the statement timeout until this transaction ends. A `COMMIT` that is cancelled while
/// it waits for a synchronous standby reports success, although a failover can lose it.
pub(crate) async fn let_commit_wait(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)").fetch_one(connection).await?;
    Ok(())
}

/// Returns the ids of the given revisions that the database does not have.
pub(crate) async fn missing(
    connection: &mut PgConnection,
    ids: &[i64],
    nonces: &[Uuid],
) -> Result<Vec<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT made.id AS "id!" FROM unnest($1::bigint[], $2::uuid[]) AS made (id, nonce)
            WHERE NOT EXISTS (SELECT FROM revisions r WHERE r.id = made.id AND r.nonce = made.nonce)"#,
        ids,
        nonces,
    )
    .fetch_all(connection)
    .await?)
}

/// Returns the given tokens that the database does not have.
pub(crate) async fn missing_tokens(
    connection: &mut PgConnection,
    tokens: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT made.id AS "id!" FROM unnest($1::uuid[]) AS made (id)
            WHERE NOT EXISTS (SELECT FROM tokens t WHERE t.id = made.id)"#,
        tokens,
    )
    .fetch_all(connection)
    .await?)
}

/// The durability and replication settings of the database.
#[derive(Clone, Debug)]
pub(crate) struct Replication {
    /// Whether commits are flushed to disk.
    pub(crate) fsync: bool,
    /// Whether a page that a crash left half-written can be repaired.
    pub(crate) full_page_writes: bool,
    pub(crate) synchronous_commit: String,
    pub(crate) synchronous_standbys: String,
    /// The number of connected standbys.
    pub(crate) standbys: i64,
}

/// Returns the durability and replication settings, or `None` if the engine does not report them.
pub(crate) async fn replication(
    connection: &mut PgConnection,
) -> Result<Option<Replication>, StoreError> {
    let row = sqlx::query_as!(
        Replication,
        r#"SELECT current_setting('fsync')::bool AS "fsync!",
                  current_setting('full_page_writes')::bool AS "full_page_writes!",
                  current_setting('synchronous_commit') AS "synchronous_commit!",
                  current_setting('synchronous_standby_names') AS "synchronous_standbys!",
                  (SELECT count(*) FROM pg_stat_replication) AS "standbys!""#,
    )
    .fetch_one(connection)
    .await;
    match row.map_err(StoreError::from) {
        Ok(replication) => Ok(Some(replication)),
        Err(error) if does_not_say(&error) => Ok(None),
        Err(error) if error.is_unavailable() => Err(error),
        Err(_) => Ok(None),
    }
}
