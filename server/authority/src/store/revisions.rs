//! What changed, for servers that keep facts.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// What a revision is about, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevisionRow {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) subject: Uuid,
}

/// Writes revisions; the id of the last one. The lock makes ids grow in the order of commits: call it
/// right before the commit, after all other locks.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    kinds: &[String],
    subjects: &[Uuid],
    now: OffsetDateTime,
) -> Result<i64, StoreError> {
    sqlx::query!("SELECT singleton FROM revision_head FOR UPDATE")
        .fetch_one(&mut *connection)
        .await?;
    let ids = sqlx::query_scalar!(
        "INSERT INTO revisions (at, kind, subject_id)
         SELECT $1, kind, subject FROM UNNEST($2::text[], $3::uuid[]) AS changes (kind, subject)
         RETURNING id",
        now,
        kinds,
        subjects,
    )
    .fetch_all(connection)
    .await?;
    ids.into_iter().max().ok_or(StoreError::Query(sqlx::Error::RowNotFound))
}

/// The revisions after this one, in their order.
pub(crate) async fn after(
    connection: &mut PgConnection,
    applied: i64,
    limit: i64,
) -> Result<Vec<RevisionRow>, StoreError> {
    Ok(sqlx::query_as!(
        RevisionRow,
        "SELECT id, kind, subject_id AS subject FROM revisions WHERE id > $1 ORDER BY id LIMIT $2",
        applied,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// The last one; 0 before the first.
pub(crate) async fn last(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT COALESCE(max(id), 0) AS "last!" FROM revisions"#)
        .fetch_one(connection)
        .await?)
}

/// Removes those that were made before this moment and that every replica has applied. The last one
/// stays, whatever its age.
pub(crate) async fn delete_before(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM revisions
          WHERE at < $1 AND id < (SELECT max(id) FROM revisions)
            AND id <= COALESCE((SELECT min(applied) FROM replicas), id)",
        before,
    )
    .execute(connection)
    .await?;
    Ok(())
}
