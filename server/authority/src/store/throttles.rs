//! Failed sign-ins, counted in fixed windows.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// Failures of a key in its running window, and the window's end.
pub(crate) async fn failures(
    connection: &mut PgConnection,
    key: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<(i32, OffsetDateTime)>, StoreError> {
    let row = sqlx::query!(
        "SELECT failures, window_ends_at FROM sign_in_throttles WHERE key = $1 AND window_ends_at > $2",
        &key[..],
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.failures, row.window_ends_at)))
}

/// Counts a failure; begins a window when none runs.
pub(crate) async fn count_failure(
    connection: &mut PgConnection,
    key: &[u8; 32],
    now: OffsetDateTime,
    window_ends_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO sign_in_throttles AS t (key, failures, window_ends_at) VALUES ($1, 1, $3)
         ON CONFLICT (key) DO UPDATE SET
            failures = CASE WHEN t.window_ends_at > $2 THEN t.failures + 1 ELSE 1 END,
            window_ends_at = CASE WHEN t.window_ends_at > $2 THEN t.window_ends_at ELSE $3 END",
        &key[..],
        now,
        window_ends_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets the failures of a key.
pub(crate) async fn clear(connection: &mut PgConnection, key: &[u8; 32]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM sign_in_throttles WHERE key = $1", &key[..])
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes windows that are over.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM sign_in_throttles WHERE window_ends_at <= $1", now)
        .execute(connection)
        .await?;
    Ok(())
}
