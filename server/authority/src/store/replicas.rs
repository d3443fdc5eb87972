//! Replicas: the servers that share the database.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// The notification channel for new revisions.
pub(crate) const CHANNEL: &str = "tessera_revisions";

/// The state that a server reports with each renewal.
pub(crate) struct Renewal<'a> {
    pub(crate) id: Uuid,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) now: OffsetDateTime,
    pub(crate) applied: i64,
    pub(crate) revocations: i64,
    pub(crate) p50_us: Option<i64>,
    pub(crate) p99_us: Option<i64>,
}

/// Another server, and how many times it has renewed its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) id: Uuid,
    pub(crate) renewals: i64,
}

/// Renews a server's row if it was renewed exactly `renewals` times before. Returns `false` if the
/// count differs or the row no longer exists. In both cases the history of the database is not the
/// one that this server has seen.
pub(crate) async fn renew(
    connection: &mut PgConnection,
    renewal: &Renewal<'_>,
    renewals: i64,
) -> Result<bool, StoreError> {
    let renewed = sqlx::query!(
        "UPDATE replicas SET renewed_at = $3, renewals = renewals + 1, applied = $4, revocations = $5,
                revocation_p50_us = $6, revocation_p99_us = $7
          WHERE id = $1 AND renewals = $2",
        renewal.id,
        renewals,
        renewal.now,
        renewal.applied,
        renewal.revocations,
        renewal.p50_us,
        renewal.p99_us,
    )
    .execute(connection)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// Inserts or re-inserts a server's row. Returns how many times the row was renewed.
pub(crate) async fn enter(
    connection: &mut PgConnection,
    renewal: &Renewal<'_>,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO replicas AS r (id, name, version, started_at, renewed_at, applied, revocations,
                                    revocation_p50_us, revocation_p99_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE
            SET renewed_at = excluded.renewed_at, renewals = r.renewals + 1, applied = excluded.applied
         RETURNING renewals",
        renewal.id,
        renewal.name,
        renewal.version,
        renewal.started_at,
        renewal.now,
        renewal.applied,
        renewal.revocations,
        renewal.p50_us,
        renewal.p99_us,
    )
    .fetch_one(connection)
    .await?)
}

/// Records the revision that a server has applied.
pub(crate) async fn note_applied(
    connection: &mut PgConnection,
    id: Uuid,
    applied: i64,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE replicas SET applied = $2 WHERE id = $1", id, applied)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a server's row. With `renewals`, deletes it only if it was not renewed since.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    id: Uuid,
    renewals: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM replicas WHERE id = $1 AND ($2::bigint IS NULL OR renewals = $2)",
        id,
        renewals,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns all servers except this one.
pub(crate) async fn others(
    connection: &mut PgConnection,
    own: Uuid,
) -> Result<Vec<Other>, StoreError> {
    Ok(sqlx::query_as!(Other, "SELECT id, renewals FROM replicas WHERE id <> $1", own)
        .fetch_all(connection)
        .await?)
}

/// Returns the servers, except this one, that have not applied this revision.
pub(crate) async fn behind(
    connection: &mut PgConnection,
    own: Uuid,
    revision: i64,
) -> Result<Vec<Other>, StoreError> {
    Ok(sqlx::query_as!(
        Other,
        "SELECT id, renewals FROM replicas WHERE id <> $1 AND applied < $2",
        own,
        revision,
    )
    .fetch_all(connection)
    .await?)
}

/// Notifies all servers of new revisions. This is a hint: a server that misses it reads the
/// revisions with its next renewal.
pub(crate) async fn notify(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(connection).await?;
    Ok(())
}

/// Sends an empty query, so that network devices keep the idle connection open and a dropped
/// connection is noticed.
pub(crate) async fn give_sign_of_life(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SELECT 1").execute(connection).await.map(drop)
}

/// The state of a server, for display.
pub(crate) struct Shown {
    pub(crate) other: Other,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) renewed_at: OffsetDateTime,
    pub(crate) applied: i64,
    pub(crate) behind: i64,
    pub(crate) revocations: i64,
    pub(crate) p50_us: Option<i64>,
    pub(crate) p99_us: Option<i64>,
}

/// Returns all servers, the longest-running first.
pub(crate) async fn list(connection: &mut PgConnection) -> Result<Vec<Shown>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.name, r.version, r.started_at, r.renewed_at, r.renewals, r.applied,
                  r.revocations, r.revocation_p50_us, r.revocation_p99_us,
                  (SELECT count(*) FROM revisions v WHERE v.id > r.applied) AS "behind!"
             FROM replicas r
            ORDER BY r.started_at, r.id"#,
    )
    .fetch_all(connection)
    .await?;
    let shown = rows.into_iter().map(|row| Shown {
        other: Other { id: row.id, renewals: row.renewals },
        name: row.name,
        version: row.version,
        started_at: row.started_at,
        renewed_at: row.renewed_at,
        applied: row.applied,
        behind: row.behind,
        revocations: row.revocations,
        p50_us: row.revocation_p50_us,
        p99_us: row.revocation_p99_us,
    });
    Ok(shown.collect())
}
