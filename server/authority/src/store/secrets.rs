//! Secrets of tokens, by digest: what a verification reads. What changes them is in `secrets_change`.

use domain::{
    decision::{Facts, SecretFacts},
    ids::{SecretId, TokenId, WorkspaceId},
    token::UserSummary,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::keys::{Digest, Sealed};

/// A secret to insert.
pub(crate) struct NewSecret<'a> {
    pub(crate) id: SecretId,
    pub(crate) digest: &'a Digest,
    pub(crate) hint: &'a str,
    /// Its text under the sealing key, when the token is recoverable.
    pub(crate) sealed: Option<&'a Sealed>,
}

/// Inserts a token's current secret.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    token: TokenId,
    secret: &NewSecret<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO token_secrets (id, token_id, digest, pepper_version, hint, sealed, seal_key_version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        secret.id.0,
        token.0,
        &secret.digest.bytes[..],
        secret.digest.pepper_version,
        secret.hint,
        secret.sealed.map(|sealed| &sealed.bytes[..]),
        secret.sealed.map(|sealed| sealed.key_version),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All facts about the token that one of these digests belongs to. One query, tombstones included.
///
/// The user belongs to the workspace while it is enabled and is a member or manages the instance.
/// A scope that its catalogue no longer has is granted to nobody.
pub(crate) async fn facts(
    connection: &mut PgConnection,
    digests: &[Digest],
) -> Result<Option<Facts>, StoreError> {
    let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.bytes.to_vec()).collect();
    let row = sqlx::query!(
        r#"SELECT t.id, t.name, t.workspace_id, w.slug, t.scopes, t.enabled, t.not_before, t.expires_at,
                  t.ip_allow, t.deleted_at, s.expires_at AS secret_expires_at,
                  s.id AS secret_id, s.current AS secret_current,
                  s.first_used_at IS NOT NULL AS "secret_used!", s.reused_at IS NOT NULL AS "secret_reused!",
                  u.id AS user_id, u.email, u.name AS user_name,
                  u.enabled AND (u.instance_role IN ('owner', 'admin') OR EXISTS (
                      SELECT FROM memberships m WHERE m.workspace_id = t.workspace_id AND m.user_id = u.id
                  )) AS "user_active!",
                  ARRAY(SELECT a.slug FROM token_audiences ta JOIN audiences a ON a.id = ta.audience_id
                         WHERE ta.token_id = t.id ORDER BY a.slug) AS "audiences!",
                  ARRAY(SELECT DISTINCT scope
                          FROM token_audiences ta
                          JOIN scopes c ON c.audience_id = ta.audience_id AND c.name = ANY(t.scopes)
                          CROSS JOIN LATERAL unnest(c.name || c.implies_all) AS scope
                         WHERE ta.token_id = t.id) AS "granted!"
             FROM token_secrets s
             JOIN tokens t ON t.id = s.token_id
             JOIN workspaces w ON w.id = t.workspace_id
             JOIN users u ON u.id = t.user_id
            WHERE s.digest = ANY($1)"#,
        &digests,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = |column| StoreError::corrupt(column, row.id);
    Ok(Some(Facts {
        token_id: TokenId(row.id),
        name: row.name,
        workspace_id: WorkspaceId(row.workspace_id),
        workspace: row.slug.parse().map_err(|_| corrupt("workspaces.slug"))?,
        user: UserSummary { id: row.user_id.into(), email: row.email, name: row.user_name },
        user_active: row.user_active,
        audiences: parse_all(&row.audiences).ok_or_else(|| corrupt("audiences.slug"))?,
        scopes: parse_all(&row.scopes).ok_or_else(|| corrupt("tokens.scopes"))?,
        granted: parse_all(&row.granted).ok_or_else(|| corrupt("scopes.name"))?,
        enabled: row.enabled,
        deleted: row.deleted_at.is_some(),
        not_before: row.not_before,
        expires_at: row.expires_at,
        secret: SecretFacts {
            id: SecretId(row.secret_id),
            current: row.secret_current,
            used: row.secret_used,
            reused: row.secret_reused,
            expires_at: row.secret_expires_at,
        },
        ip_allow: parse_all(&row.ip_allow).ok_or_else(|| corrupt("tokens.ip_allow"))?,
    }))
}

pub(super) fn parse_all<T: std::str::FromStr>(texts: &[String]) -> Option<Vec<T>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}
