//! Sessions.

use std::net::IpAddr;

use domain::{ids::UserId, session::Visitor, token::UserSummary};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// A session to insert.
pub(crate) struct NewSession<'a> {
    pub(crate) digest: &'a [u8; 32],
    pub(crate) user: UserId,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) user_agent: &'a str,
}

/// A session that is not over.
pub(crate) struct LiveSession {
    pub(crate) visitor: Visitor,
    pub(crate) last_seen_at: OffsetDateTime,
}

/// Inserts a session.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    session: &NewSession<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at, client_ip, user_agent)
         VALUES ($1, $2, $3, $3, $4, $5, $6)",
        &session.digest[..],
        session.user.0,
        now,
        session.expires_at,
        session.client_ip.map(|address| address.to_string()),
        session.user_agent,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The session of this digest, if it is neither over nor idle since `idle_since`, and its user is
/// enabled.
pub(crate) async fn live(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Option<LiveSession>, StoreError> {
    let row = sqlx::query!(
        "SELECT u.id, u.email, u.name, u.instance_role, s.last_seen_at
           FROM sessions s JOIN users u ON u.id = s.user_id
          WHERE s.digest = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND u.enabled",
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
        Ok(LiveSession { visitor: Visitor { user, instance_role }, last_seen_at: row.last_seen_at })
    })
    .transpose()
}

/// Notes that a session was used.
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

/// Ends a session. `None` when there was none.
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

/// Ends every session of a user.
pub(crate) async fn delete_of_user(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1", user.0).execute(connection).await?;
    Ok(())
}

/// Removes sessions that are over or idle since `idle_since`.
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
