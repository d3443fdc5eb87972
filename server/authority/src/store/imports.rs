//! Secrets that were imported from other systems.

use domain::ids::{TokenId, UserId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::{kernel::Tenant, keys::Digest};

/// Returns whether any imported secret exists.
pub(crate) async fn exist(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM token_secrets WHERE origin = 'imported') AS "exist!""#
    )
    .fetch_one(connection)
    .await?)
}

/// Returns the given digests that a token of this workspace has or had.
pub(crate) async fn known_here(
    connection: &mut PgConnection,
    tenant: Tenant,
    digests: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT s.digest FROM token_secrets s JOIN tokens t ON t.id = s.token_id
          WHERE s.digest = ANY($2) AND t.workspace_id = $1",
        tenant.id().0,
        digests,
    )
    .fetch_all(connection)
    .await?)
}

/// Returns the given digests that any token of the instance has or had. The result distinguishes
/// secrets of other workspaces from guesses, so [`collisions_since`] limits how often callers may
/// learn it.
pub(crate) async fn known_anywhere(
    connection: &mut PgConnection,
    digests: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT digest FROM token_secrets WHERE digest = ANY($1)", digests)
        .fetch_all(connection)
        .await?)
}

/// Records an import that named the digest of a token of another workspace.
pub(crate) async fn note_collision(
    connection: &mut PgConnection,
    tenant: Tenant,
    (id, user): (Uuid, Option<UserId>),
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO import_collisions (id, workspace_id, user_id, at) VALUES ($1, $2, $3, $4)",
        id,
        tenant.id().0,
        user.map(|user| user.0),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the time of the `number`-th latest colliding import of the workspace or of the user,
/// whichever is later. Counts the imports after `since`; returns `None` if neither has that many.
pub(crate) async fn collisions_since(
    connection: &mut PgConnection,
    (tenant, user): (Tenant, Option<UserId>),
    number: i64,
    since: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT max(at) FROM (
             (SELECT at FROM import_collisions WHERE workspace_id = $1 AND at > $4 ORDER BY at DESC OFFSET $3 LIMIT 1)
             UNION ALL
             (SELECT at FROM import_collisions WHERE user_id = $2 AND at > $4 ORDER BY at DESC OFFSET $3 LIMIT 1)
         ) used_up",
        tenant.id().0,
        user.map(|user| user.0),
        number - 1,
        since,
    )
    .fetch_one(connection)
    .await?)
}

/// Counts rows that a workspace imports. Returns how many rows it has imported on the current day,
/// which begins with its first import. A day that began at `since` or earlier is over, and a new
/// one begins.
pub(crate) async fn count(
    connection: &mut PgConnection,
    tenant: Tenant,
    rows: i64,
    (since, now): (OffsetDateTime, OffsetDateTime),
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO import_allowances AS a (workspace_id, since, imported) VALUES ($1, $4, $2)
         ON CONFLICT (workspace_id) DO UPDATE
            SET since = CASE WHEN a.since > $3 THEN a.since ELSE $4 END,
                imported = CASE WHEN a.since > $3 THEN a.imported ELSE 0 END + $2
         RETURNING imported",
        tenant.id().0,
        rows,
        since,
        now,
    )
    .fetch_one(connection)
    .await?)
}

/// Deletes records that no longer count.
pub(crate) async fn delete_collisions_before(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM import_collisions WHERE at < $1", before).execute(connection).await?;
    Ok(())
}

/// Inserts a token's current secret. `token_secrets_digest_unique` refuses a digest that exists.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    token: TokenId,
    digest: &Digest,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO token_secrets (id, token_id, digest, pepper_version, origin, created_at)
         VALUES ($1, $2, $3, $4, 'imported', $5)",
        id,
        token.0,
        &digest.bytes[..],
        digest.pepper_version,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
