//! Secrets that another system made.

use domain::ids::TokenId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::keys::Digest;

/// Whether there are any.
pub(crate) async fn exist(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM token_secrets WHERE origin = 'imported') AS "exist!""#
    )
    .fetch_one(connection)
    .await?)
}

/// Which of these digests are known, of whichever workspace and tombstones included: that a digest is
/// taken is no secret to somebody who has it.
pub(crate) async fn known(
    connection: &mut PgConnection,
    digests: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT digest FROM token_secrets WHERE digest = ANY($1)", digests)
        .fetch_all(connection)
        .await?)
}

/// Inserts a token's current secret. `token_secrets_digest_unique` refuses one that is known.
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
