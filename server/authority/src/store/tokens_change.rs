//! Changes to token records. Every operation that changes a record increments its version.

use domain::{
    bounds::FixedBounds,
    held::HeldScopes,
    ids::{TokenId, UserId, WorkspaceId},
    rate_limit::RateLimit,
    token::Standing,
};
use sqlx::{PgConnection, types::Json};
use time::{Duration, OffsetDateTime};

use super::{
    StoreError, names,
    secrets::columns_of,
    stops,
    tokens::{micros, words},
    touched_one,
};
use crate::kernel::Tenant;

/// The values of all fields of a token that can be changed.
pub(crate) struct Values<'a> {
    pub(crate) user: UserId,
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    /// All scopes that the token holds, across audiences, for 0.1 servers; `None` if they do
    /// not change.
    pub(crate) scopes: Option<&'a [String]>,
    pub(crate) not_before: Option<OffsetDateTime>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) ip_allow: &'a [String],
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) tags: &'a serde_json::Value,
}

/// Locks a token's row until the transaction ends, which serializes changes to the token and its
/// secrets. Returns `false` if the token does not exist or was deleted.
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

/// Locks the tokens that act as a user. Returns each with its workspace, ordered by id.
pub(crate) async fn lock_of_user(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<(TokenId, WorkspaceId)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, workspace_id FROM tokens WHERE user_id = $1 AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
        user.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (TokenId(row.id), WorkspaceId(row.workspace_id))).collect())
}

/// Updates all fields that can be changed.
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
                name_key = $14, version = version + 1
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
        names::fold(values.name),
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Sets the scopes that a token holds in each audience. Removes all other audiences.
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

/// The actor that stops a token, and its standing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoppedBy {
    pub(crate) user: Option<UserId>,
    pub(crate) standing: Standing,
    /// The token that stops it, if another token created that one. It may later lift this stop.
    /// `None` for any other actor.
    pub(crate) token: Option<TokenId>,
}

/// Enables a token, or disables it on behalf of an actor.
pub(crate) async fn set_enabled(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    off: Option<StoppedBy>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET enabled = $3, disabled_by = $5, disabled_as = $6, disabled_by_token = $7,
                updated_at = GREATEST(updated_at, $4), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        off.is_none(),
        now,
        off.and_then(|by| by.user).map(|user| user.0),
        off.map(|by| by.standing.as_str()),
        off.and_then(|by| by.token).map(|token| token.0),
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Records the lifetime that a token was given and, if an actor set an earlier expiry, that actor.
pub(crate) async fn set_lifetime(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    lifetime: Option<Duration>,
    ended: Option<StoppedBy>,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET lifetime_us = $3, ended_by = $4, ended_as = $5, ended_by_token = $6
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        micros(lifetime),
        ended.and_then(|by| by.user).map(|user| user.0),
        ended.map(|by| by.standing.as_str()),
        ended.and_then(|by| by.token).map(|token| token.0),
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Returns the lifetime that a token was given, if it was recorded.
pub(crate) async fn lifetime(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<Option<Duration>, StoreError> {
    let micros = sqlx::query_scalar!(
        "SELECT lifetime_us FROM tokens WHERE workspace_id = $1 AND id = $2",
        tenant.id().0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(micros.flatten().map(Duration::microseconds))
}

/// Checks whether a token must not renew itself beyond the expiry of the token that created it.
pub(crate) async fn is_within_parent(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<bool, StoreError> {
    let within = sqlx::query_scalar!(
        "SELECT within_parent FROM tokens WHERE workspace_id = $1 AND id = $2",
        tenant.id().0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(within.unwrap_or_default())
}

/// Records the shortest lifetime for a token that expires, so that it does not renew itself.
pub(crate) async fn renew_no_more(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE tokens SET lifetime_us = 1 WHERE workspace_id = $1 AND id = $2 AND expires_at IS NOT NULL",
        tenant.id().0,
        id.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the bounds that an administrator set on a token.
pub(crate) async fn fixed_bounds(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<FixedBounds, StoreError> {
    let bounds = sqlx::query_scalar!(
        r#"SELECT fixed_bounds AS "bounds: Json<FixedBounds>" FROM tokens WHERE workspace_id = $1 AND id = $2"#,
        tenant.id().0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(bounds.flatten().map(|bounds| bounds.0).unwrap_or_default())
}

/// Records the bounds that an administrator set on a token.
pub(crate) async fn set_fixed_bounds(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    bounds: &FixedBounds,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET fixed_bounds = $3 WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        (!bounds.is_empty()).then(|| Json(bounds)) as Option<Json<&FixedBounds>>,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Returns the expiry of the token that created this one, or the time of its deletion if that is
/// earlier. Returns `None` if neither exists or it does not bound this token.
pub(crate) async fn end_of_parent(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<Option<OffsetDateTime>, StoreError> {
    let end = sqlx::query_scalar!(
        "SELECT LEAST(p.expires_at, p.deleted_at)
           FROM tokens t JOIN tokens p ON p.id = t.parent_id AND p.workspace_id = t.workspace_id
          WHERE t.workspace_id = $1 AND t.id = $2 AND t.within_parent",
        tenant.id().0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(end.flatten())
}

/// Expires a token now. Clears a start time that has not been reached.
pub(crate) async fn expire(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    by: StoppedBy,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens
            SET expires_at = $3, not_before = CASE WHEN not_before < $3 THEN not_before END,
                updated_at = GREATEST(updated_at, $3), ended_by = $4, ended_as = $5, version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        now,
        by.user.map(|user| user.0),
        by.standing.as_str(),
    )
    .execute(&mut *connection)
    .await?;
    touched_one(&outcome)?;
    stops::note_ender(connection, tenant, id, by.token).await
}

/// Records the actor that expired a token which had already expired.
pub(crate) async fn set_ended_by(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    by: StoppedBy,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET ended_by = $3, ended_as = $4, ended_by_token = $6, updated_at = GREATEST(updated_at, $5),
                version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        by.user.map(|user| user.0),
        by.standing.as_str(),
        now,
        by.token.map(|token| token.0),
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Records that a token has a new secret, and whether the secret can be shown again.
pub(crate) async fn rotate(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    (hint, recoverable): (&str, bool),
    expires_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens
            SET hint = $3, expires_at = $4, rotated_at = $5, recoverable = $6, updated_at = GREATEST(updated_at, $5), version = version + 1
          WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        hint,
        expires_at,
        now,
        recoverable,
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Increments the version after a change that belongs to the record but is stored elsewhere, such
/// as the expiry of an older secret.
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

/// Records that a replaced secret of a token was presented after its expiry.
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

/// Turns a token into a tombstone. Returns `false` if it does not exist or was already deleted.
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
