//! The tokens that stopped a token, and the relation of a requesting token to it.

use domain::ids::TokenId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, tokens_change::StoppedBy, touched_one};
use crate::kernel::Tenant;

/// The tokens, themselves created by other tokens, that disabled or expired a token. A field is
/// `None` if any other actor did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stoppers {
    pub(crate) disabled_by: Option<TokenId>,
    pub(crate) ended_by: Option<TokenId>,
}

/// Returns the tokens that disabled or expired a token.
pub(crate) async fn stoppers(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<Stoppers, StoreError> {
    let row = sqlx::query!(
        "SELECT disabled_by_token, ended_by_token FROM tokens WHERE workspace_id = $1 AND id = $2",
        tenant.id().0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map_or(Stoppers::default(), |row| Stoppers {
        disabled_by: row.disabled_by_token.map(TokenId),
        ended_by: row.ended_by_token.map(TokenId),
    }))
}

/// Records which token set a token's expiry. A change of the expiry clears the column, so call this
/// function afterwards.
pub(crate) async fn note_ender(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    token: Option<TokenId>,
) -> Result<(), StoreError> {
    let outcome = sqlx::query!(
        "UPDATE tokens SET ended_by_token = $3 WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
        tenant.id().0,
        id.0,
        token.map(|token| token.0),
    )
    .execute(connection)
    .await?;
    touched_one(&outcome)
}

/// Returns whether another token created this one.
pub(crate) async fn is_made_by_token(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
) -> Result<bool, StoreError> {
    let made = sqlx::query_scalar!(
        r#"SELECT parent_id IS NOT NULL AS "made!" FROM tokens WHERE workspace_id = $1 AND id = $2"#,
        tenant.id().0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(made.unwrap_or_default())
}

/// Locks those of these tokens that are enabled, and returns their ids.
pub(crate) async fn lock_enabled(
    connection: &mut PgConnection,
    tenant: Tenant,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT id FROM tokens WHERE workspace_id = $1 AND id = ANY($2) AND deleted_at IS NULL AND enabled
          ORDER BY id FOR NO KEY UPDATE",
        tenant.id().0,
        ids,
    )
    .fetch_all(connection)
    .await?)
}

/// Disables tokens that the caller has locked, and records for each of them the user who stopped
/// it. No token is recorded, so no token can lift such a stop as its own.
pub(crate) async fn disable(
    connection: &mut PgConnection,
    stopped: &[(TokenId, StoppedBy)],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let Records { ids, users, standings } = Records::of(stopped);
    let outcome = sqlx::query!(
        "UPDATE tokens t
            SET enabled = false, disabled_by = r.stopper, disabled_as = r.standing, disabled_by_token = NULL,
                updated_at = GREATEST(updated_at, $4), version = version + 1
           FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS r (id, stopper, standing)
          WHERE t.id = r.id",
        &ids,
        &users as &[Option<Uuid>],
        &standings,
        now,
    )
    .execute(connection)
    .await?;
    if outcome.rows_affected() == ids.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Query(sqlx::Error::RowNotFound))
    }
}

/// The records of who stopped tokens, as columns.
pub(super) struct Records {
    pub(super) ids: Vec<Uuid>,
    pub(super) users: Vec<Option<Uuid>>,
    pub(super) standings: Vec<String>,
}

impl Records {
    pub(super) fn of(stopped: &[(TokenId, StoppedBy)]) -> Self {
        Self {
            ids: stopped.iter().map(|(id, _)| id.0).collect(),
            users: stopped.iter().map(|(_, by)| by.user.map(|user| user.0)).collect(),
            standings: stopped.iter().map(|(_, by)| by.standing.as_str().to_owned()).collect(),
        }
    }
}

/// The relation of a requesting token to another token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// Whether another token created the requesting token.
    pub(crate) made_by_token: bool,
    /// Whether the other token created the requesting token, directly or through further tokens, or
    /// received a secret of it: a valid one, or one from which the token rotated itself to its
    /// valid secrets.
    pub(crate) knows_secret: bool,
    /// Whether a token that created the requesting token, directly or through further tokens, is
    /// disabled or deleted, or has expired because an actor set its expiry.
    pub(crate) maker_is_stopped: bool,
}

/// Returns the relation of the requesting token `asks` to `other`. The audit log records which
/// tokens received a secret.
pub(crate) async fn lineage(
    connection: &mut PgConnection,
    tenant: Tenant,
    (asks, other): (TokenId, TokenId),
    now: OffsetDateTime,
) -> Result<Lineage, StoreError> {
    let row = sqlx::query!(
        r#"WITH RECURSIVE makers (id) AS (
               SELECT parent_id FROM tokens WHERE workspace_id = $1 AND id = $2 AND parent_id IS NOT NULL
               UNION
               SELECT t.parent_id FROM makers m JOIN tokens t ON t.id = m.id WHERE t.parent_id IS NOT NULL
           ), start (at) AS (
               -- The last time when a caller other than the token gave it a new secret from which its valid secrets
               -- descend. It does not count if the token then rotated itself while an older secret was valid.
               SELECT COALESCE((
                   SELECT e.at FROM audit_events e
                    WHERE e.subject_id = $2 AND e.action IN ('token.create', 'token.import', 'token.rotate')
                      AND NOT (e.actor_kind = 'token' AND e.actor_id = $2)
                      AND e.at <= (SELECT min(s.created_at) FROM token_secrets s
                                    WHERE s.token_id = $2 AND (s.current OR s.expires_at > $4))
                      AND NOT EXISTS (SELECT FROM token_secrets o JOIN audit_events r ON r.subject_id = o.token_id
                                       WHERE o.token_id = $2 AND o.created_at < e.at AND o.expires_at > e.at
                                         AND r.action = 'token.rotate' AND r.actor_kind = 'token' AND r.actor_id = $2
                                         AND r.at > e.at AND r.at <= o.expires_at)
                    ORDER BY e.at DESC LIMIT 1
               ), '-infinity')
           ), knows (id) AS (
               SELECT id FROM makers
               UNION
               SELECT $2::uuid
               UNION
               -- Tokens that obtained a secret of one of these. For the calling token, only rows since the start count.
               SELECT e.actor_id
                 FROM knows k
                CROSS JOIN LATERAL (
                          SELECT e.actor_id FROM audit_events e
                           WHERE e.subject_id = k.id AND e.actor_kind = 'token'
                             AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
                             AND (k.id <> $2 OR e.at >= (SELECT at FROM start))
                           ORDER BY e.at OFFSET 0
                      ) e
           )
           SELECT EXISTS (SELECT FROM makers) AS "made_by_token!",
                  $2 <> $3 AND EXISTS (SELECT FROM knows WHERE id = $3) AS "knows_secret!",
                  EXISTS (SELECT FROM makers m JOIN tokens t ON t.id = m.id
                           WHERE NOT t.enabled OR t.ended_as IS NOT NULL AND t.expires_at <= $4
                         ) AS "maker_is_stopped!""#,
        tenant.id().0,
        asks.0,
        other.0,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(Lineage {
        made_by_token: row.made_by_token,
        knows_secret: row.knows_secret,
        maker_is_stopped: row.maker_is_stopped,
    })
}

/// Returns the id of the last row of a workspace's audit log, or 0 if the log is empty. The rows
/// are committed in the order of their ids.
pub(crate) async fn last_row(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<i64, StoreError> {
    let last = sqlx::query_scalar!(
        "SELECT id FROM audit_events WHERE workspace_id = $1 ORDER BY id DESC LIMIT 1",
        tenant.id().0,
    );
    Ok(last.fetch_optional(connection).await?.unwrap_or_default())
}
