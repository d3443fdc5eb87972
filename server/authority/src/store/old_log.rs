//! Reads the audit rows about tokens that version 0.1 wrote. Migration 0025 lists these tokens and
//! defines the function that reads a row. A trigger reads the rows that servers of version 0.1
//! still write.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// Reads the audit rows of at most `limit` tokens whose rows have not been read yet, and returns
/// the number of these tokens.
///
/// Locks the tokens first, so that their rows are read in order even if servers of version 0.1 add
/// rows meanwhile.
pub(crate) async fn read_some(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<usize, StoreError> {
    let tokens: Vec<Uuid> = sqlx::query_scalar!(
        "SELECT token_id FROM tokens_with_unread_log ORDER BY token_id LIMIT $1 FOR UPDATE",
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    if tokens.is_empty() {
        return Ok(0);
    }
    // A token may have too many audit rows for the usual timeout.
    sqlx::query!("SET LOCAL statement_timeout = 0").execute(&mut *connection).await?;
    sqlx::query!("SELECT FROM tokens WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", &tokens)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "SELECT read_token_row(a.subject_id, a.action, a.actor_kind, a.actor_id, a.before, a.after)
           FROM (SELECT e.* FROM audit_events e
                   JOIN tokens t ON t.id = e.subject_id AND t.deleted_at IS NULL
                  WHERE e.subject_id = ANY($1)
                    AND e.action IN ('token.create', 'token.import', 'token.update', 'token.disable', 'token.enable',
                                     'token.expire', 'token.rotate')
                    AND NOT COALESCE(e.after ? 'grants', false)
                  ORDER BY e.id) a",
        &tokens,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM tokens_with_unread_log WHERE token_id = ANY($1)", &tokens)
        .execute(connection)
        .await?;
    Ok(tokens.len())
}
