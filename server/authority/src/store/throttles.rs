//! Sign-in attempts, which `sessions::throttle` reads and writes under their locks; the networks
//! that people signed in from; and proxies that are not trusted.

use domain::ids::UserId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// The recorded attempts of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// The number of consecutive attempts without a success.
    pub(crate) count: i32,
    /// When a delay expires, or a bucket is empty.
    pub(crate) open_at: OffsetDateTime,
    /// When the row no longer matters and may be deleted.
    pub(crate) forget_at: OffsetDateTime,
}

/// Locks the rows of these keys until the transaction ends, in this order, and returns them.
/// Inserts missing rows, so that two servers that count the first attempt of a key also wait for
/// each other.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    keys: &[[u8; 32]],
    now: OffsetDateTime,
) -> Result<Vec<Attempts>, StoreError> {
    let mut locked = Vec::with_capacity(keys.len());
    for key in keys {
        let row = sqlx::query!(
            "INSERT INTO sign_in_attempts (key, attempts, open_at, forget_at) VALUES ($1, 0, $2, $2)
             ON CONFLICT (key) DO UPDATE SET key = EXCLUDED.key
             RETURNING attempts, open_at, forget_at",
            &key[..],
            now,
        )
        .fetch_one(&mut *connection)
        .await?;
        locked.push(Attempts {
            count: row.attempts,
            open_at: row.open_at,
            forget_at: row.forget_at,
        });
    }
    Ok(locked)
}

/// Updates a row that the caller has locked.
pub(crate) async fn set(
    connection: &mut PgConnection,
    key: &[u8; 32],
    attempts: &Attempts,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sign_in_attempts SET attempts = $2, open_at = $3, forget_at = $4 WHERE key = $1",
        &key[..],
        attempts.count,
        attempts.open_at,
        attempts.forget_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes rows that no longer matter, including those of version 0.1.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    // The database's clock wrote these times. A server whose own clock is ahead must not cut
    // delays short.
    sqlx::query!(
        "DELETE FROM sign_in_attempts WHERE forget_at <= LEAST($1, clock_timestamp())",
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM sign_in_throttles WHERE window_ends_at <= $1", now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Checks whether this person signed in from this network since the given time.
pub(crate) async fn is_known(
    connection: &mut PgConnection,
    user: UserId,
    network: &[u8; 32],
    since: OffsetDateTime,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT EXISTS (
             SELECT FROM sign_in_networks WHERE user_id = $1 AND network = $2 AND seen_at > $3
         ) AS \"known!\"",
        user.0,
        &network[..],
        since,
    )
    .fetch_one(connection)
    .await?)
}

/// Records that this person signed in from this network, and keeps only their latest `limit`
/// networks. The caller has locked the person's row.
pub(crate) async fn know(
    connection: &mut PgConnection,
    user: UserId,
    network: &[u8; 32],
    now: OffsetDateTime,
    limit: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO sign_in_networks (user_id, network, seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, network) DO UPDATE SET seen_at = EXCLUDED.seen_at",
        user.0,
        &network[..],
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM sign_in_networks
          WHERE user_id = $1
            AND network IN (SELECT network FROM sign_in_networks
                             WHERE user_id = $1 AND network <> $2
                             ORDER BY seen_at DESC OFFSET $3)",
        user.0,
        &network[..],
        limit - 1,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes networks from which no one has signed in since the given time.
pub(crate) async fn forget_networks(
    connection: &mut PgConnection,
    since: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM sign_in_networks WHERE seen_at <= $1", since)
        .execute(connection)
        .await?;
    Ok(())
}

/// Records that a sign-in came through a peer whose `X-Forwarded-For` header was not trusted.
pub(crate) async fn note_proxy(
    connection: &mut PgConnection,
    address: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO untrusted_proxies (address, seen_at) VALUES ($1, $2)
         ON CONFLICT (address) DO UPDATE SET seen_at = EXCLUDED.seen_at",
        address,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns up to `limit` peers that were recorded since the given time, the latest first.
pub(crate) async fn proxies(
    connection: &mut PgConnection,
    since: OffsetDateTime,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT address FROM untrusted_proxies WHERE seen_at > $1 ORDER BY seen_at DESC LIMIT $2",
        since,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// Deletes peers that were not seen since the given time.
pub(crate) async fn forget_proxies(
    connection: &mut PgConnection,
    since: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM untrusted_proxies WHERE seen_at <= $1", since)
        .execute(connection)
        .await?;
    Ok(())
}
