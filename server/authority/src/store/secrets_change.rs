//! Secrets of tokens: rotated, revealed, first used, presented after their end.
//!
//! Whoever changes a secret holds the lock of its token's row (`tokens_change::lock`): then all that
//! happens to the secrets of one token happens one after another.

use domain::ids::{SecretId, TokenId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::keys::Sealed;

/// A secret that works, as a rotation needs it.
#[derive(Clone, Debug)]
pub(crate) struct WorkingSecret {
    pub(crate) id: SecretId,
    pub(crate) current: bool,
    pub(crate) created_at: OffsetDateTime,
    /// Noted of secrets that replaced another: only beside an older one does it decide anything.
    pub(crate) used: bool,
}

/// The secrets of a token that work at `now`, as far as they decide: the current one first.
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

/// Makes the current secret of a token an older one that works until `ends_at`. Its sealed text goes:
/// only the current secret is ever shown again.
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

/// Lets no older secret of a token work beyond `end`. Tells whether one would have.
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

/// The current secret's sealed text, when there is one.
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

/// Removes the sealed texts of a token that is deleted.
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

/// Removes the sealed text of a token's secret: it cannot be shown again.
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

/// Whether an older secret that ends with the first use of this one works still; `None` when there is no
/// such one, or this one was used.
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

/// Notes the first use of a secret; needs no lock of the token's row.
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

/// Reports whether a secret of a token was used that is newer than this one.
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

/// Notes that a replaced secret was presented after its end. `false` when that was noted before.
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
