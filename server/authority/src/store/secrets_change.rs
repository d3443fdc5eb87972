//! Changes to the secrets of tokens: rotation, display, first use, and reuse after expiry.
//!
//! A caller that changes a secret holds the lock on its token's row (`tokens_change::lock`), which
//! serializes all changes to the secrets of one token.

use domain::ids::{SecretId, TokenId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::keys::Sealed;

/// A working secret, as a rotation needs it.
#[derive(Clone, Debug)]
pub(crate) struct WorkingSecret {
    pub(crate) id: SecretId,
    pub(crate) current: bool,
    pub(crate) created_at: OffsetDateTime,
    /// Whether the secret was used. Recorded only for secrets that replaced another one, because it
    /// matters only beside an older secret.
    pub(crate) used: bool,
}

/// Returns the secrets of a token that work at `now`, the current one first.
pub(crate) async fn working(
    connection: &mut PgConnection,
    token: TokenId,
    now: OffsetDateTime,
) -> Result<Vec<WorkingSecret>, StoreError> {
    Ok(sqlx::query_as!(
        WorkingSecret,
        r#"SELECT id, current, created_at, first_used_at IS NOT NULL AS "used!"
             FROM token_secrets
            WHERE token_id = $1
              AND (current OR expires_at > (SELECT GREATEST(updated_at, $2) FROM tokens WHERE id = $1))
            ORDER BY current DESC, expires_at DESC"#,
        token.0,
        now,
    )
    .fetch_all(connection)
    .await?)
}

/// Turns the current secret of a token into an older one that works until `ends_at`. Deletes its
/// sealed text, because only the current secret may be shown again.
pub(crate) async fn demote(
    connection: &mut PgConnection,
    secret: SecretId,
    hint: &str,
    ends_at: OffsetDateTime,
    ends_on_first_use: bool,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE token_secrets
            SET current = false, expires_at = $2, ends_on_first_use = $3, hint = COALESCE(hint, $4),
                sealed = NULL, seal_key_version = NULL
          WHERE id = $1 AND current",
        secret.0,
        ends_at,
        ends_on_first_use,
        hint,
    )
    .execute(connection)
    .await?;
    super::touched_one(&outcome)
}

/// Limits the expiry of all older secrets of a token to `end`. Returns whether any of them would
/// have worked longer.
pub(crate) async fn end_older(
    connection: &mut PgConnection,
    token: TokenId,
    end: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE token_secrets SET expires_at = $2
          WHERE token_id = $1 AND NOT current AND expires_at > $2",
        token.0,
        end,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Returns the sealed text of the current secret, if it has one.
pub(crate) async fn sealed(
    connection: &mut PgConnection,
    token: TokenId,
) -> Result<Option<(SecretId, Sealed)>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, sealed, seal_key_version FROM token_secrets WHERE token_id = $1 AND current",
        token.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| {
        let (bytes, key_version) = (row.sealed?, row.seal_key_version?);
        Some((SecretId(row.id), Sealed { bytes, key_version }))
    }))
}

/// Deletes the sealed texts of a token that is deleted.
pub(crate) async fn forget_sealed(
    connection: &mut PgConnection,
    token: TokenId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE token_secrets SET sealed = NULL, seal_key_version = NULL
          WHERE token_id = $1 AND sealed IS NOT NULL",
        token.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the sealed text of a token's secret, so that the secret cannot be shown again.
pub(crate) async fn keep_no_more(
    connection: &mut PgConnection,
    token: TokenId,
) -> Result<(), StoreError> {
    forget_sealed(connection, token).await?;
    sqlx::query!("UPDATE tokens SET recoverable = false WHERE id = $1 AND recoverable", token.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Checks whether an older secret that expires with the first use of this one still works. Returns
/// `None` if there is no such older secret, or this one is not the current secret or was already
/// used.
pub(crate) async fn ends_on_first_use(
    connection: &mut PgConnection,
    secret: SecretId,
    now: OffsetDateTime,
) -> Result<Option<bool>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT older.expires_at > GREATEST(t.updated_at, $2) AS "works!"
             FROM token_secrets newer
             JOIN tokens t ON t.id = newer.token_id
             JOIN token_secrets older ON older.token_id = newer.token_id
            WHERE newer.id = $1 AND newer.current AND newer.first_used_at IS NULL
              AND NOT older.current AND older.ends_on_first_use AND older.expires_at > newer.created_at
            ORDER BY 1 DESC LIMIT 1"#,
        secret.0,
        now,
    )
    .fetch_optional(connection)
    .await?)
}

/// Records the first use of a secret. Needs no lock on the token's row.
pub(crate) async fn note_first_use(
    connection: &mut PgConnection,
    secret: SecretId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE token_secrets SET first_used_at = $2 WHERE id = $1 AND first_used_at IS NULL",
        secret.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Checks whether a newer secret of the token was used.
pub(crate) async fn newer_was_used(
    connection: &mut PgConnection,
    token: TokenId,
    secret: SecretId,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM token_secrets newer, token_secrets s
                WHERE s.id = $2 AND newer.token_id = $1 AND newer.id <> s.id
                  AND (newer.current OR newer.created_at >= s.created_at) AND newer.first_used_at IS NOT NULL
           ) AS "used!""#,
        token.0,
        secret.0,
    )
    .fetch_one(connection)
    .await?)
}

/// Records that a replaced secret was presented after its expiry. Returns `false` if that was
/// recorded before.
pub(crate) async fn note_reuse(
    connection: &mut PgConnection,
    secret: SecretId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE token_secrets s SET reused_at = $2 FROM tokens t
          WHERE s.id = $1 AND t.id = s.token_id
            AND NOT s.current AND s.expires_at <= GREATEST(t.updated_at, $2) AND s.reused_at IS NULL",
        secret.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}
