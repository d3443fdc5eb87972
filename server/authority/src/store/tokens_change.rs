//! Tokens: what changes a record. Every change increments its version.

use domain::{
    held::HeldScopes,
    ids::{TokenId, UserId},
    rate_limit::RateLimit,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{StoreError, secrets::columns_of, tokens::words, touched_one};
use crate::access::Tenant;

/// What can be changed of a token, all of it.
pub(crate) struct Values<'a> {
    pub(crate) user: UserId,
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    /// The flat view of what it holds, for 0.1 servers; `None` when that does not change.
    pub(crate) scopes: Option<&'a [String]>,
    pub(crate) not_before: Option<OffsetDateTime>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) ip_allow: &'a [String],
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) tags: &'a serde_json::Value,
}

/// Locks a token's row until the transaction ends: changes of one token, and of its secrets, happen
/// one after another. `false` when there is none, or it was deleted.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        "SELECT id FROM tokens WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL
            FOR NO KEY UPDATE",
        tenant.id().0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Sets everything that can be changed.
pub(crate) async fn update(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    values: &Values<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let (rate_limit, rate_window_s) = columns_of(values.rate_limit);
    let outcome = sqlx::query!(
        "UPDATE tokens
            SET user_id = $3, name = $4, description = $5, scopes = COALESCE($6, scopes), not_before = $7, expires_at = $8,
                ip_allow = $9, tags = $10, updated_at = GREATEST(updated_at, $11), rate_limit = $12, rate_window_s = $13,
                version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        values.user.0,
        values.name,
        values.description,
        values.scopes,
        values.not_before,
        values.expires_at,
        values.ip_allow,
        values.tags,
        now,
        rate_limit,
        rate_window_s,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Sets what a token holds in each of its audiences. It is meant for no others from then on.
pub(crate) async fn set_grants(
    connection: &mut PgConnection,
    id: TokenId,
    grants: &HeldScopes,
) -> Result<(), StoreError> {
    let audiences: Vec<String> = grants.audiences().map(ToString::to_string).collect();
    let scopes: Vec<String> = grants.iter().map(|(_, scopes)| words(scopes)).collect();
    sqlx::query!(
        "DELETE FROM token_audiences ta USING audiences a
          WHERE ta.token_id = $1 AND a.id = ta.audience_id AND a.slug <> ALL($2)",
        id.0,
        &audiences,
    )
    .execute(&mut *connection)
    .await?;
    let outcome = sqlx::query!(
        "UPDATE token_audiences ta SET scopes = string_to_array(g.scopes, ' ')
           FROM unnest($2::text[], $3::text[]) AS g (slug, scopes)
           JOIN audiences a ON a.slug = g.slug
          WHERE ta.token_id = $1 AND ta.audience_id = a.id",
        id.0,
        &audiences,
        &scopes,
    )
    .execute(connection)
    .await?;
    if outcome.rows_affected() == audiences.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::corrupt("token_audiences.audience_id", id))
    }
}

/// Sets the switch.
pub(crate) async fn set_enabled(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    enabled: bool,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET enabled = $3, updated_at = GREATEST(updated_at, $4), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        enabled,
        now,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Ends a token. One that had not begun has no beginning then.
pub(crate) async fn expire(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens
            SET expires_at = $3, not_before = CASE WHEN not_before < $3 THEN not_before END,
                updated_at = GREATEST(updated_at, $3), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Notes that a token has a new secret.
pub(crate) async fn rotate(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    hint: &str,
    expires_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens
            SET hint = $3, expires_at = $4, rotated_at = $5, updated_at = GREATEST(updated_at, $5), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        hint,
        expires_at,
        now,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Notes that something beside the row changed that belongs to the record: an older secret ended.
pub(crate) async fn touch(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET updated_at = GREATEST(updated_at, $3), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Notes that a replaced secret of a token was presented after its end.
pub(crate) async fn note_reuse(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET reused_at = $3, updated_at = GREATEST(updated_at, $3), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Makes a token a tombstone. `false` when it was one already or is not there.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET deleted_at = $3, enabled = false, updated_at = GREATEST(updated_at, $3), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}
