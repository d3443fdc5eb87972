//! The descendants of a token that is stopped: the note that records the pending stop, and the
//! statements that stop many descendants at once.

use std::collections::BTreeMap;

use domain::ids::{TokenId, UserId, WorkspaceId};
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    StoreError,
    stops::{self, Records, Stoppers},
    tokens_change::StoppedBy,
};
use crate::kernel::{Author, Tenant};

/// How descendants are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Disables them.
    Disable,
    /// Expires them now.
    Expire,
    /// Expires them at this time, unless they expire before.
    EndBy(OffsetDateTime),
    /// Deletes them.
    Delete,
}

impl How {
    const fn action(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Expire => "expire",
            Self::EndBy(_) => "end_by",
            Self::Delete => "delete",
        }
    }

    pub(crate) const fn ends_at(self) -> Option<OffsetDateTime> {
        match self {
            Self::EndBy(end) => Some(end),
            Self::Disable | Self::Expire | Self::Delete => None,
        }
    }
}

/// A note that the descendants of a token must be stopped.
#[derive(Clone, Debug)]
pub(crate) struct DescendantStop {
    pub(crate) id: Uuid,
    pub(crate) tenant: Tenant,
    pub(crate) token: TokenId,
    pub(crate) how: How,
    /// The only owner whose tokens are stopped; `None` for all owners.
    pub(crate) own: Option<UserId>,
    /// The user who stops them.
    pub(crate) by: Option<UserId>,
    pub(crate) by_policy: bool,
    /// The author of the stop, for the audit rows.
    pub(crate) author: Author,
}

/// Inserts the note that the descendants of a token must be stopped. The calling server holds the
/// claim for 15 seconds, unless `at_once` lets any server claim the note.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    stop: &DescendantStop,
    at_once: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO descendant_stops (id, workspace_id, token_id, action, ends_at, own, stopped_by, by_policy, author,
                                       worked_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
                 clock_timestamp() + CASE WHEN $10 THEN interval '0' ELSE interval '15 seconds' END)",
        stop.id,
        stop.tenant.id().0,
        stop.token.0,
        stop.how.action(),
        stop.how.ends_at(),
        stop.own.map(|user| user.0),
        stop.by.map(|user| user.0),
        stop.by_policy,
        Json(&stop.author) as _,
        at_once,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Claims a note that no server is working on, for 15 seconds.
pub(crate) async fn claim(
    connection: &mut PgConnection,
) -> Result<Option<DescendantStop>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE descendant_stops SET worked_until = clock_timestamp() + interval '15 seconds'
            WHERE id = (SELECT id FROM descendant_stops WHERE worked_until <= clock_timestamp()
                         ORDER BY worked_until LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, workspace_id, token_id, action, ends_at, own, stopped_by, by_policy,
                  author AS "author: Json<Author>""#,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let how = match (row.action.as_str(), row.ends_at) {
        ("disable", _) => How::Disable,
        ("expire", _) => How::Expire,
        ("end_by", Some(end)) => How::EndBy(end),
        ("delete", _) => How::Delete,
        _ => return Err(StoreError::corrupt("descendant_stops.action", row.id)),
    };
    Ok(Some(DescendantStop {
        id: row.id,
        tenant: Tenant::of_stopped_token(WorkspaceId(row.workspace_id)),
        token: TokenId(row.token_id),
        how,
        own: row.own.map(UserId),
        by: row.stopped_by.map(UserId),
        by_policy: row.by_policy,
        author: row.author.0,
    }))
}

/// Extends the claim of a note by 15 seconds from now.
pub(crate) async fn keep(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE descendant_stops SET worked_until = clock_timestamp() + interval '15 seconds' WHERE id = $1",
        id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets any server claim a note after 30 seconds, so that notes that have waited longer come first.
pub(crate) async fn release(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("UPDATE descendant_stops SET worked_until = clock_timestamp() + interval '30 seconds' WHERE id = $1", id,)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a note, because all descendants have been stopped.
pub(crate) async fn finish(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM descendant_stops WHERE id = $1", id).execute(connection).await?;
    Ok(())
}

/// Waits until every change that a token of the workspace began earlier has ended. The queue of
/// this lock is fair, so that new changes cannot keep the caller waiting forever.
pub(crate) async fn wait_for_changes(
    connection: &mut PgConnection,
    tenant: Tenant,
) -> Result<(), StoreError> {
    let key = lock_key(tenant);
    sqlx::query!(r#"SELECT true AS "locked!" FROM pg_advisory_xact_lock($1)"#, key)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Returns whether the descendants of any ancestor of this token are being stopped. Blocks
/// [`wait_for_changes`] until the calling transaction ends.
pub(crate) async fn are_stopped(
    connection: &mut PgConnection,
    tenant: Tenant,
    token: TokenId,
) -> Result<bool, StoreError> {
    let key = lock_key(tenant);
    sqlx::query!(r#"SELECT true AS "locked!" FROM pg_advisory_xact_lock_shared($1)"#, key)
        .fetch_one(&mut *connection)
        .await?;
    // A separate statement, so that it sees what was committed while the lock was awaited.
    let noted = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM descendant_stops WHERE workspace_id = $1) AS "noted!""#,
        tenant.id().0,
    )
    .fetch_one(&mut *connection)
    .await?;
    if !noted {
        return Ok(false);
    }
    Ok(sqlx::query_scalar!(
        r#"WITH RECURSIVE up AS (
               SELECT parent_id FROM tokens WHERE workspace_id = $1 AND id = $2
               UNION
               SELECT t.parent_id FROM up JOIN tokens t ON t.id = up.parent_id
           )
           SELECT EXISTS (SELECT FROM up JOIN descendant_stops s ON s.token_id = up.parent_id) AS "stopped!""#,
        tenant.id().0,
        token.0,
    )
    .fetch_one(connection)
    .await?)
}

fn lock_key(tenant: Tenant) -> i64 {
    // The random half of the id. The constant keeps this key apart from those of other locks.
    tenant.id().0.as_u64_pair().1.cast_signed() ^ 0x7374_6f70
}

/// Returns whether a token has ever created another token.
pub(crate) async fn exist(
    connection: &mut PgConnection,
    token: TokenId,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM tokens WHERE parent_id = $1) AS "exist!""#,
        token.0,
    )
    .fetch_one(connection)
    .await?)
}

/// Returns the given tokens that have ever created another token.
pub(crate) async fn makers(
    connection: &mut PgConnection,
    tokens: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT t.id FROM unnest($1::uuid[]) AS t (id)
            WHERE EXISTS (SELECT FROM tokens c WHERE c.parent_id = t.id) ORDER BY t.id"#,
        tokens,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .flatten()
    .collect())
}

/// Returns the descendants of a token, whoever owns them, each after the token that created it.
/// Deleted tokens are left out, but their descendants are included.
pub(crate) async fn all(
    connection: &mut PgConnection,
    tenant: Tenant,
    token: TokenId,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"WITH RECURSIVE made AS (
               SELECT id, deleted_at, 1 AS depth FROM tokens WHERE workspace_id = $1 AND parent_id = $2
               UNION ALL
               SELECT t.id, t.deleted_at, m.depth + 1
                 FROM made m JOIN tokens t ON t.parent_id = m.id AND t.workspace_id = $1
           )
           SELECT id AS "id!" FROM made WHERE deleted_at IS NULL ORDER BY depth, id"#,
        tenant.id().0,
        token.0,
    )
    .fetch_all(connection)
    .await?)
}

/// Locks the given tokens that still have to be stopped at `now`. Returns their ids, each with the
/// tokens that stopped it before.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    stop: &DescendantStop,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<BTreeMap<Uuid, Stoppers>, StoreError> {
    let end = stop.how.ends_at().unwrap_or(now);
    let rows = sqlx::query!(
        "SELECT id, disabled_by_token, ended_by_token FROM tokens
          WHERE workspace_id = $1 AND id = ANY($2) AND deleted_at IS NULL AND ($3::uuid IS NULL OR user_id = $3)
            AND CASE $4::text
                WHEN 'delete' THEN true
                -- An administrator's stop replaces a stop that the owner could undo.
                WHEN 'disable' THEN enabled OR disabled_by_token IS NOT NULL OR NOT $5 AND user_id IS DISTINCT FROM $6 AND COALESCE(NOT (
                    disabled_as = 'administrator' OR disabled_as = 'owner' AND disabled_by IS DISTINCT FROM user_id), true)
                WHEN 'expire' THEN COALESCE(expires_at > $7, true) OR ended_by_token IS NOT NULL
                    OR NOT $5 AND user_id IS DISTINCT FROM $6 AND COALESCE(NOT (
                    ended_as = 'administrator' OR ended_as = 'owner' AND ended_by IS DISTINCT FROM user_id), true)
                ELSE COALESCE(expires_at > $7, true)
                END
          ORDER BY id FOR NO KEY UPDATE",
        stop.tenant.id().0,
        ids,
        stop.own.map(|user| user.0),
        stop.how.action(),
        stop.by_policy,
        stop.by.map(|user| user.0),
        end,
    )
    .fetch_all(connection)
    .await?;
    let stoppers = rows.into_iter().map(|row| {
        let stoppers = Stoppers {
            disabled_by: row.disabled_by_token.map(TokenId),
            ended_by: row.ended_by_token.map(TokenId),
        };
        (row.id, stoppers)
    });
    Ok(stoppers.collect())
}

/// Stops tokens that are locked, and records who stopped each of them. The rows record no token as
/// the stopper, so no token can lift the stop as its own.
pub(crate) async fn stop(
    connection: &mut PgConnection,
    stop: &DescendantStop,
    stopped: &[(TokenId, StoppedBy)],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let Records { ids, users, standings } = Records::of(stopped);
    let ids = ids.as_slice();
    let outcome = match stop.how {
        How::Disable => {
            return stops::disable(connection, stopped, now).await;
        }
        How::Expire | How::EndBy(_) => {
            let end = stop.how.ends_at().unwrap_or(now);
            sqlx::query!(
                "UPDATE token_secrets SET expires_at = $2
                  WHERE token_id = ANY($1) AND NOT current AND expires_at > $2",
                ids,
                end,
            )
            .execute(&mut *connection)
            .await?;
            sqlx::query!(
                "UPDATE tokens t
                    SET expires_at = LEAST(expires_at, $5), not_before = CASE WHEN not_before < $5 THEN not_before END,
                        ended_by = r.stopper, ended_as = r.standing, ended_by_token = NULL,
                        updated_at = GREATEST(updated_at, $4), version = version + 1
                   FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS r (id, stopper, standing)
                  WHERE t.id = r.id",
                ids,
                &users as &[Option<Uuid>],
                &standings,
                now,
                end,
            )
            .execute(connection)
            .await?
        }
        How::Delete => {
            sqlx::query!(
                "UPDATE token_secrets SET sealed = NULL, seal_key_version = NULL
                  WHERE token_id = ANY($1) AND sealed IS NOT NULL",
                ids,
            )
            .execute(&mut *connection)
            .await?;
            sqlx::query!(
                "UPDATE tokens SET deleted_at = $2, enabled = false, updated_at = GREATEST(updated_at, $2),
                        version = version + 1
                  WHERE id = ANY($1)",
                ids,
                now,
            )
            .execute(connection)
            .await?
        }
    };
    if outcome.rows_affected() == ids.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Query(sqlx::Error::RowNotFound))
    }
}
