//! The instance's single row and the one-time set-up link.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::keys::Keys;

/// Returns the check value of the keys, or `None` if the instance is not set up.
pub(crate) async fn key_check(
    connection: &mut PgConnection,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT key_check FROM instance").fetch_optional(connection).await?)
}

/// Returns whether the instance is set up.
pub(crate) async fn exists(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM instance) AS "exists!""#)
        .fetch_one(connection)
        .await?)
}

/// Returns the organisation's name, or `None` if the instance is not set up.
pub(crate) async fn name(connection: &mut PgConnection) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT name FROM instance").fetch_optional(connection).await?)
}

/// Inserts the single row. If two set-ups run at once, the constraint `instance_pkey` rejects one.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    name: &str,
    key_check: &[u8],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO instance (name, key_check, created_at) VALUES ($1, $2, $3)",
        name,
        key_check,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the digest of a new set-up link, which replaces any earlier link.
pub(crate) async fn replace_setup_link(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO setup_links (digest, expires_at) VALUES ($1, $2)
         ON CONFLICT (singleton) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at",
        &digest[..],
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the digest of the set-up link, unless the link has expired.
pub(crate) async fn setup_link(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT digest FROM setup_links WHERE expires_at > $1", now)
        .fetch_optional(connection)
        .await?)
}

/// Deletes the set-up link.
pub(crate) async fn delete_setup_link(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM setup_links").execute(connection).await?;
    Ok(())
}

/// Returns whether the instance was set up with these keys; `None` while it is not set up.
pub(crate) async fn has_these_keys(
    connection: &mut PgConnection,
    keys: &Keys,
) -> Result<Option<bool>, StoreError> {
    let check = key_check(connection).await?;
    Ok(check.map(|check| keys.made(&check)))
}
