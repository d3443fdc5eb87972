//! What changed, for servers that keep facts.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// What a revision is about, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevisionRow {
    pub(crate) id: i64,
    /// Tells it from another one that has the same id in another history.
    pub(crate) nonce: Uuid,
    pub(crate) kind: String,
    pub(crate) subject: Uuid,
}

/// A revision, wherever it is: its id, and the nonce that tells it from others of the same id.
pub(crate) type RevisionKey = (i64, Uuid);

/// Writes revisions. Returns the last one, and all of them. The lock makes ids grow in the order of commits: call it
/// right before the commit, after all other locks.
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

/// Returns the revisions from this one on, in their order, itself included.
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

/// Returns the last one, with its nonce.
pub(crate) async fn head(connection: &mut PgConnection) -> Result<Option<RevisionKey>, StoreError> {
    let row = sqlx::query!("SELECT id, nonce FROM revisions ORDER BY id DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| (row.id, row.nonce)))
}

/// The last one; 0 before the first.
pub(crate) async fn last(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT COALESCE(max(id), 0) AS "last!" FROM revisions"#)
        .fetch_one(connection)
        .await?)
}

/// Removes those that were made before this moment and that every replica has left behind. The last one that
/// a replica has applied stays, whatever its age: by it the replica knows the history again.
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
