//! The use of tokens: the last use of each, and hourly counts.

use domain::{ids::TokenId, usage::LastUse};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::kernel::{Counts, Tenant};

/// The last use of a token.
#[derive(Debug)]
pub(crate) struct LastUseRow {
    pub(crate) id: Uuid,
    pub(crate) at: OffsetDateTime,
    /// Empty if unknown.
    pub(crate) address: String,
    /// Empty if unknown.
    pub(crate) agent: String,
}

/// Records the last uses of many tokens at once, ignoring tokens that do not exist. Updates each
/// row at most once a minute. Returns the tokens whose rows are locked by other transactions.
/// Waiting for them would keep the rows of other tenants locked.
pub(crate) async fn note_last(
    connection: &mut PgConnection,
    uses: &[LastUseRow],
) -> Result<Vec<TokenId>, StoreError> {
    let ids: Vec<Uuid> = uses.iter().map(|used| used.id).collect();
    let times: Vec<OffsetDateTime> = uses.iter().map(|used| used.at).collect();
    let addresses: Vec<String> = uses.iter().map(|used| used.address.clone()).collect();
    let agents: Vec<String> = uses.iter().map(|used| used.agent.clone()).collect();
    let locked = sqlx::query_scalar!(
        r#"WITH due AS (
               SELECT used.id, used.at, used.address, used.agent
                 FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[])
                      AS used (id, at, address, agent)
                 JOIN tokens t ON t.id = used.id
                WHERE t.last_used_at IS NULL OR t.last_used_at <= used.at - interval '1 minute'
           ), free AS (
               SELECT id FROM tokens WHERE id IN (SELECT id FROM due) FOR NO KEY UPDATE SKIP LOCKED
           ), noted AS (
               UPDATE tokens t
                  SET last_used_at = due.at, last_used_ip = NULLIF(due.address, ''),
                      last_used_agent = NULLIF(due.agent, '')
                 FROM due JOIN free ON free.id = due.id
                WHERE t.id = due.id
           )
           SELECT id AS "id!" FROM due WHERE id NOT IN (SELECT id FROM free)"#,
        &ids,
        &times,
        &addresses,
        &agents,
    )
    .fetch_all(connection)
    .await?;
    Ok(locked.into_iter().map(TokenId).collect())
}

/// Adds to the counts of many tokens and hours at once. Skips tokens that do not exist, because a
/// failover may have lost them.
pub(crate) async fn add(
    connection: &mut PgConnection,
    hours: &[((TokenId, OffsetDateTime), Counts)],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = hours.iter().map(|((token, _), _)| token.0).collect();
    let starts: Vec<OffsetDateTime> = hours.iter().map(|((_, hour), _)| *hour).collect();
    let allowed: Vec<i64> = hours.iter().map(|(_, counts)| counts.allowed).collect();
    let refused: Vec<i64> = hours.iter().map(|(_, counts)| counts.refused).collect();
    sqlx::query!(
        "INSERT INTO usage_hours AS u (token_id, hour, allowed, refused)
         SELECT used.token_id, used.hour, used.allowed, used.refused
           FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::bigint[])
                AS used (token_id, hour, allowed, refused)
           JOIN tokens t ON t.id = used.token_id
          ORDER BY used.token_id, used.hour
         ON CONFLICT (token_id, hour) DO UPDATE
            SET allowed = u.allowed + excluded.allowed, refused = u.refused + excluded.refused",
        &ids,
        &starts,
        &allowed,
        &refused,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the hourly counts of a token since `from`, in order. Omits hours without use.
pub(crate) async fn since(
    connection: &mut PgConnection,
    tenant: Tenant,
    token: TokenId,
    from: OffsetDateTime,
) -> Result<Vec<(OffsetDateTime, Counts)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT u.hour, u.allowed, u.refused
           FROM usage_hours u JOIN tokens t ON t.id = u.token_id
          WHERE t.workspace_id = $1 AND u.token_id = $2 AND u.hour >= $3
          ORDER BY u.hour",
        tenant.id().0,
        token.0,
        from,
    )
    .fetch_all(connection)
    .await?;
    let counts = |allowed, refused| Counts { allowed, refused };
    Ok(rows.into_iter().map(|row| (row.hour, counts(row.allowed, row.refused))).collect())
}

/// Returns the last use of a token.
pub(crate) async fn last(
    connection: &mut PgConnection,
    tenant: Tenant,
    token: TokenId,
) -> Result<Option<LastUse>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT last_used_at AS "at!", last_used_ip, last_used_agent FROM tokens
            WHERE workspace_id = $1 AND id = $2 AND last_used_at IS NOT NULL"#,
        tenant.id().0,
        token.0,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let ip = row.last_used_ip.map(|text| text.parse()).transpose();
        let ip = ip.map_err(|_| StoreError::corrupt("tokens.last_used_ip", token))?;
        Ok(LastUse { at: row.at, ip, agent: row.last_used_agent })
    })
    .transpose()
}

/// Deletes the counts of hours before `moment`, which are no longer needed.
pub(crate) async fn delete_before(
    connection: &mut PgConnection,
    moment: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM usage_hours WHERE hour < $1", moment).execute(connection).await?;
    Ok(())
}
