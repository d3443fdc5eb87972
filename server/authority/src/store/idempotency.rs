//! Idempotency keys of requests that may be repeated, and the replies that are stored under them.
//!
//! Keys belong to callers, so the functions take no `Tenant`.

use domain::ids::SecretId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::keys::Sealed;

/// A claim on a key.
pub(crate) struct Claim<'a> {
    pub(crate) key: &'a [u8; 32],
    pub(crate) request: &'a [u8; 32],
    pub(crate) now: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
    /// The claims of unfinished attempts that began at this time or earlier are stale.
    pub(crate) stale: OffsetDateTime,
    /// The caller, as a MAC.
    pub(crate) caller: &'a [u8; 32],
    /// The secret that a token presents for its own rotation.
    pub(crate) secret: Option<SecretId>,
    /// The maximum number of keys of one caller.
    pub(crate) most: i64,
}

/// The entry that is stored under a key.
pub(crate) struct Found {
    pub(crate) request: Vec<u8>,
    /// The status and the sealed reply, or `None` while the first attempt is in progress.
    pub(crate) reply: Option<(i16, Sealed)>,
    /// When the latest attempt began.
    pub(crate) created_at: OffsetDateTime,
    /// The secret that a token presented for its own rotation.
    pub(crate) secret: Option<SecretId>,
}

/// Claims a key that is unused or expired, or whose attempt for the same request is stale. Returns
/// when the key expires; a stale key that is taken over keeps its expiry. Returns `None` if the key
/// is in use, or if it is new and the caller already has the maximum number of keys.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    claim: &Claim<'_>,
) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO idempotency_keys AS k (key, request, created_at, expires_at, caller, secret_id)
         SELECT $1, $2, $3, $4, $6, $7
          WHERE EXISTS (SELECT FROM idempotency_keys WHERE key = $1)
             OR (SELECT count(*) FROM (SELECT FROM idempotency_keys
                                        WHERE caller = $6 AND expires_at > $3 LIMIT $8) AS held) < $8
         ON CONFLICT (key) DO UPDATE
            SET request = excluded.request, status = NULL, reply = NULL, seal_key_version = NULL,
                caller = excluded.caller, secret_id = excluded.secret_id,
                created_at = excluded.created_at,
                expires_at = CASE WHEN k.expires_at <= $3 THEN excluded.expires_at ELSE k.expires_at END
          WHERE k.expires_at <= $3
             OR (k.status IS NULL AND k.request = excluded.request AND k.created_at <= $5)
         RETURNING expires_at",
        &claim.key[..],
        &claim.request[..],
        claim.now,
        claim.expires_at,
        claim.stale,
        &claim.caller[..],
        claim.secret.map(|secret| secret.0),
        claim.most,
    )
    .fetch_optional(connection)
    .await?)
}

/// Returns the entry that is stored under a key.
pub(crate) async fn find(
    connection: &mut PgConnection,
    key: &[u8; 32],
) -> Result<Option<Found>, StoreError> {
    let row = sqlx::query!(
        "SELECT request, status, reply, seal_key_version, created_at, secret_id
           FROM idempotency_keys WHERE key = $1",
        &key[..],
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Found {
        request: row.request,
        created_at: row.created_at,
        secret: row.secret_id.map(SecretId),
        reply: match (row.status, row.reply, row.seal_key_version) {
            (Some(status), Some(bytes), Some(key_version)) => {
                Some((status, Sealed { bytes, key_version }))
            }
            _ => None,
        },
    }))
}

/// Returns when the first key of this caller expires, if the caller has at least `most` keys.
pub(crate) async fn first_end(
    connection: &mut PgConnection,
    caller: &[u8; 32],
    now: OffsetDateTime,
    most: i64,
) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT min(expires_at) AS "end!" FROM idempotency_keys
            WHERE caller = $1 AND expires_at > $2
           HAVING count(*) >= $3"#,
        &caller[..],
        now,
        most,
    )
    .fetch_optional(connection)
    .await?)
}

/// Stores the reply of the attempt that claimed the key at `claimed_at`. Returns `false` if another
/// attempt has taken over.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    key: &[u8; 32],
    claimed_at: OffsetDateTime,
    status: i16,
    reply: &Sealed,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE idempotency_keys SET status = $3, reply = $4, seal_key_version = $5
          WHERE key = $1 AND created_at = $2 AND status IS NULL",
        &key[..],
        claimed_at,
        status,
        reply.bytes,
        reply.key_version,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Releases the key for the same request, as if its attempt had begun at `stale`. Returns `false`
/// if another attempt has taken over.
pub(crate) async fn release(
    connection: &mut PgConnection,
    key: &[u8; 32],
    claimed_at: OffsetDateTime,
    stale: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE idempotency_keys SET created_at = $3
          WHERE key = $1 AND created_at = $2 AND status IS NULL",
        &key[..],
        claimed_at,
        stale,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Deletes expired keys.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM idempotency_keys WHERE expires_at <= $1", now)
        .execute(connection)
        .await?;
    Ok(())
}
