//! Sessions.

use std::net::IpAddr;

use domain::{
    ids::{SessionId, UserId},
    session::{Session, Visitor},
    token::UserSummary,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// A session to insert.
pub(crate) struct NewSession<'a> {
    pub(crate) id: SessionId,
    pub(crate) digest: &'a [u8; 32],
    pub(crate) user: UserId,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) user_agent: &'a str,
}

/// A session that has not expired.
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) visitor: Visitor,
    /// Whether the user must change their password before any other action.
    pub(crate) must_change_password: bool,
    pub(crate) last_seen_at: OffsetDateTime,
}

/// Inserts a session.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    session: &NewSession<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at, client_ip, user_agent, id)
         VALUES ($1, $2, $3, $3, $4, $5, $6, $7)",
        &session.digest[..],
        session.user.0,
        now,
        session.expires_at,
        session.client_ip.map(|address| address.to_string()),
        session.user_agent,
        session.id.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the session with this digest if it has not expired and was used since `idle_since`, its
/// user is enabled, and a password that another person chose for the user still counts.
pub(crate) async fn live(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Option<LiveSession>, StoreError> {
    let row = sqlx::query!(
        "SELECT u.id, u.email, u.name, u.instance_role, u.must_change_password, s.last_seen_at,
                s.id AS session_id
           FROM sessions s JOIN users u ON u.id = s.user_id
          WHERE s.digest = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND u.enabled
            AND (NOT u.must_change_password OR may_set_password(u.password_set_by, u.instance_role))",
        &digest[..],
        now,
        idle_since,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let instance_role = row
            .instance_role
            .parse()
            .map_err(|_| StoreError::corrupt("users.instance_role", row.id))?;
        let user = UserSummary { id: row.id.into(), email: row.email, name: row.name };
        Ok(LiveSession {
            id: SessionId(row.session_id),
            visitor: Visitor { user, instance_role },
            must_change_password: row.must_change_password,
            last_seen_at: row.last_seen_at,
        })
    })
    .transpose()
}

/// Records that a session was used.
pub(crate) async fn touch(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE sessions SET last_seen_at = $2 WHERE digest = $1", &digest[..], now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Replaces the secret of a session of this user. Returns the expiry of the session, or `None` if
/// it no longer exists.
pub(crate) async fn replace_secret(
    connection: &mut PgConnection,
    id: SessionId,
    user: UserId,
    digest: &[u8; 32],
) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        "UPDATE sessions SET digest = $3 WHERE id = $1 AND user_id = $2 RETURNING expires_at",
        id.0,
        user.0,
        &digest[..],
    )
    .fetch_optional(connection)
    .await?)
}

/// Deletes a session. Returns its user, or `None` if the session did not exist.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    digest: &[u8; 32],
) -> Result<Option<UserId>, StoreError> {
    let user = sqlx::query_scalar!(
        "DELETE FROM sessions WHERE digest = $1 RETURNING user_id",
        &digest[..]
    )
    .fetch_optional(connection)
    .await?;
    Ok(user.map(UserId))
}

/// Deletes all sessions of a user, and forgets the browsers that the user signed in with.
pub(crate) async fn delete_of_user(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<(), StoreError> {
    end_others(connection, user, None).await?;
    Ok(())
}

/// The sessions to list.
pub(crate) struct Filter {
    /// Only sessions of this user.
    pub(crate) user: Option<UserId>,
    /// Only sessions that were opened before this one.
    pub(crate) before: Option<SessionId>,
    /// Only this session.
    pub(crate) id: Option<SessionId>,
    pub(crate) rows: i64,
}

/// Returns sessions of enabled users that have not expired and were used since `idle_since`, the
/// newest first. Marks none of them as the caller's own.
pub(crate) async fn page(
    connection: &mut PgConnection,
    filter: &Filter,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Vec<Session>, StoreError> {
    let rows = sqlx::query!(
        "SELECT s.id, s.created_at, s.last_seen_at, s.expires_at, s.client_ip, s.user_agent,
                u.id AS user_id, u.email, u.name
           FROM sessions s JOIN users u ON u.id = s.user_id
          WHERE s.expires_at > $1 AND s.last_seen_at > $2 AND u.enabled
            AND ($3::uuid IS NULL OR s.user_id = $3)
            AND ($4::uuid IS NULL OR s.id < $4)
            AND ($5::uuid IS NULL OR s.id = $5)
          ORDER BY s.id DESC LIMIT $6",
        now,
        idle_since,
        filter.user.map(|user| user.0),
        filter.before.map(|id| id.0),
        filter.id.map(|id| id.0),
        filter.rows,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Session {
            id: SessionId(row.id),
            user: UserSummary { id: UserId(row.user_id), email: row.email, name: row.name },
            current: false,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            client_ip: row.client_ip,
            user_agent: row.user_agent,
        })
        .collect())
}

/// Deletes one session, and forgets the browsers that its user signed in with. Returns whether the
/// session existed.
pub(crate) async fn end(connection: &mut PgConnection, id: SessionId) -> Result<bool, StoreError> {
    // Locks the user before the session, as everywhere, so that two transactions that delete
    // sessions cannot deadlock.
    sqlx::query!(
        "UPDATE users SET browser_generation = browser_generation + 1
          WHERE id = (SELECT user_id FROM sessions WHERE id = $1)",
        id.0,
    )
    .execute(&mut *connection)
    .await?;
    let done = sqlx::query!("DELETE FROM sessions WHERE id = $1", id.0).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes the sessions of a user except `kept`, and forgets the browsers that the user signed in
/// with. Returns the number of deleted sessions.
pub(crate) async fn end_others(
    connection: &mut PgConnection,
    user: UserId,
    kept: Option<SessionId>,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE users SET browser_generation = browser_generation + 1 WHERE id = $1",
        user.0,
    )
    .execute(&mut *connection)
    .await?;
    let done = sqlx::query!(
        "DELETE FROM sessions WHERE user_id = $1 AND ($2::uuid IS NULL OR id <> $2)",
        user.0,
        kept.map(|id| id.0),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes the sessions of a user beyond the `kept` most recently used ones. The caller has locked
/// the user. Returns the number of deleted sessions.
pub(crate) async fn end_beyond(
    connection: &mut PgConnection,
    user: UserId,
    kept: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM sessions
          WHERE id IN (SELECT id FROM sessions WHERE user_id = $1
                        ORDER BY last_seen_at DESC, created_at DESC, id DESC OFFSET $2)",
        user.0,
        kept,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes sessions that have expired or were not used since `idle_since`.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2",
        now,
        idle_since
    )
    .execute(connection)
    .await?;
    Ok(())
}
