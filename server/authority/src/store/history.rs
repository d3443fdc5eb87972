//! Which database answers, and whether its history is the one that this server knows.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// What answers a connection: the cluster, its timeline, the server's start, and the database. A promotion
/// makes a new timeline; two standbys that are promoted to the same one differ by their start. A database
/// that was restored under the same name has another id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) system: i64,
    pub(crate) timeline: String,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) database: i64,
}

impl Mark {
    /// Reports whether this is a standby, which takes no writes.
    pub(crate) fn is_standby(&self) -> bool {
        self.timeline == STANDBY
    }
}

/// The timeline of a server that replays another one's.
const STANDBY: &str = "recovery";

/// Returns the mark of the server that answers; `None` from an engine that has no such functions, or does
/// not allow them to this role.
pub(crate) async fn mark(connection: &mut PgConnection) -> Result<Option<Mark>, StoreError> {
    // Not from pg_control_checkpoint(), which shows a new timeline only after the checkpoint that follows
    // a promotion.
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

/// Reports whether an engine does not know what was asked, or does not allow it.
fn does_not_say(error: &StoreError) -> bool {
    error.is_of_rights() || error.is_of_schema() || error.is_internal()
}

/// Returns the epoch, which operators raise.
pub(crate) async fn epoch(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("SELECT epoch FROM revision_head").fetch_one(connection).await?)
}

/// Switches the statement timeout off until this transaction ends. A `COMMIT` that waits for a synchronous
/// standby and is cancelled reports success, although a failover can lose it.
pub(crate) async fn let_commit_wait(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)").fetch_one(connection).await?;
    Ok(())
}

/// Returns the ids of those revisions that the database does not hold.
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

/// Returns which of these tokens the database does not hold.
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

/// How the database keeps what it has answered.
#[derive(Clone, Debug)]
pub(crate) struct Replication {
    /// Whether commits reach the disk.
    pub(crate) fsync: bool,
    /// Whether a page that a crash left half written can be repaired.
    pub(crate) full_page_writes: bool,
    pub(crate) synchronous_commit: String,
    pub(crate) synchronous_standbys: String,
    /// Standbys that are connected.
    pub(crate) standbys: i64,
}

/// Returns how the database replicates; `None` from an engine that does not say.
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
