//! Revisions: the log of changes that servers read to keep their cached facts current.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A row of `revisions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevisionRow {
    pub(crate) id: i64,
    /// Distinguishes this revision from one with the same id in another history of the database.
    pub(crate) nonce: Uuid,
    pub(crate) kind: String,
    pub(crate) subject: Uuid,
}

/// The identity of a revision across histories of the database: its id and its nonce.
pub(crate) type RevisionKey = (i64, Uuid);

/// Inserts revisions, and returns the key of the last one and the keys of all of them.
///
/// A row lock makes ids grow in commit order. Call this function right before the commit, after
/// taking all other locks.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    kinds: &[String],
    subjects: &[Uuid],
    now: OffsetDateTime,
) -> Result<(RevisionKey, Vec<RevisionKey>), StoreError> {
    sqlx::query!("SELECT singleton FROM revision_head FOR UPDATE")
        .fetch_one(&mut *connection)
        .await?;
    let rows = sqlx::query!(
        "INSERT INTO revisions (at, kind, subject_id)
         SELECT $1, kind, subject FROM UNNEST($2::text[], $3::uuid[]) AS changes (kind, subject)
         RETURNING id, nonce",
        now,
        kinds,
        subjects,
    )
    .fetch_all(connection)
    .await?;
    let keys: Vec<_> = rows.into_iter().map(|row| (row.id, row.nonce)).collect();
    let last = keys.iter().copied().max().ok_or(StoreError::Query(sqlx::Error::RowNotFound))?;
    Ok((last, keys))
}

/// Returns at most `limit` revisions in order of their ids, starting with `applied` itself.
pub(crate) async fn from(
    connection: &mut PgConnection,
    applied: i64,
    limit: i64,
) -> Result<Vec<RevisionRow>, StoreError> {
    Ok(sqlx::query_as!(
        RevisionRow,
        "SELECT id, nonce, kind, subject_id AS subject FROM revisions
          WHERE id >= $1 ORDER BY id LIMIT $2",
        applied,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// Returns the key of the last revision, or `None` if there are no revisions.
pub(crate) async fn head(connection: &mut PgConnection) -> Result<Option<RevisionKey>, StoreError> {
    let row = sqlx::query!("SELECT id, nonce FROM revisions ORDER BY id DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| (row.id, row.nonce)))
}

/// Returns the id of the last revision, or 0 if there are no revisions.
pub(crate) async fn last(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT COALESCE(max(id), 0) AS "last!" FROM revisions"#)
        .fetch_one(connection)
        .await?)
}

/// Deletes the revisions from before this moment that every replica has moved past.
///
/// The last revision that a replica has applied stays, whatever its age: the replica recognises the
/// history by it.
pub(crate) async fn delete_before(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM revisions
          WHERE at < $1 AND id < (SELECT max(id) FROM revisions)
            AND id < COALESCE((SELECT min(applied) FROM replicas), (SELECT max(id) FROM revisions))",
        before,
    )
    .execute(connection)
    .await?;
    Ok(())
}
