//! Reads and locks the caller of a change, in the transaction that makes it.

use domain::{
    decision::Facts,
    ids::{SecretId, SessionId, UserId},
    roles::InstanceRole,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, facts};

/// A lock that lasts until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lock {
    pub(crate) key: i64,
    /// Whether nobody else may have it at the same time.
    pub(crate) alone: bool,
}

/// Takes locks in this order. Those who wait for a lock are served in turn: a lock that many share is not kept
/// from one who wants it alone.
pub(crate) async fn lock(connection: &mut PgConnection, locks: &[Lock]) -> Result<(), StoreError> {
    let (keys, alone): (Vec<i64>, Vec<bool>) =
        locks.iter().map(|lock| (lock.key, lock.alone)).unzip();
    sqlx::query!(
        r#"SELECT CASE WHEN alone THEN pg_advisory_xact_lock(key)::text
                       ELSE pg_advisory_xact_lock_shared(key)::text END AS locked
             FROM unnest($1::bigint[], $2::boolean[]) AS locks (key, alone)"#,
        &keys,
        &alone,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Sets how long this transaction waits for a lock.
pub(crate) async fn wait_for_locks(
    connection: &mut PgConnection,
    limit: &str,
) -> Result<(), StoreError> {
    sqlx::query!("SELECT set_config('lock_timeout', $1, true)", limit)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// A person who is signed in.
pub(crate) struct SignedIn {
    pub(crate) instance_role: InstanceRole,
    pub(crate) must_change_password: bool,
}

/// Returns what a person is now; `None` when they may not act or their session is over.
pub(crate) async fn signed_in(
    connection: &mut PgConnection,
    user: UserId,
    session: Option<SessionId>,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Option<SignedIn>, StoreError> {
    let row = sqlx::query!(
        "SELECT u.instance_role, u.must_change_password FROM users u
          WHERE u.id = $1 AND u.enabled AND u.deleted_at IS NULL
            AND (NOT u.must_change_password OR may_set_password(u.password_set_by, u.instance_role))
            AND ($2::uuid IS NULL OR EXISTS (
                SELECT FROM sessions s
                 WHERE s.id = $2 AND s.user_id = u.id AND s.expires_at > $3 AND s.last_seen_at > $4))",
        user.0,
        session.map(|session| session.0),
        now,
        idle_since,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let instance_role = row
            .instance_role
            .parse()
            .map_err(|_| StoreError::corrupt("users.instance_role", user.0))?;
        Ok(SignedIn { instance_role, must_change_password: row.must_change_password })
    })
    .transpose()
}

/// A membership of a person, as it was at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    workspace: Uuid,
    version: i64,
}

/// Returns the memberships of a person.
pub(crate) async fn memberships(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<Membership>, StoreError> {
    let rows = sqlx::query_as!(
        Membership,
        r#"SELECT workspace_id AS workspace, version FROM memberships WHERE user_id = $1"#,
        user.0,
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Returns what is known of the token that has this secret.
pub(crate) async fn facts_of_secret(
    connection: &mut PgConnection,
    secret: SecretId,
) -> Result<Option<Facts>, StoreError> {
    let digest = sqlx::query_scalar!("SELECT digest FROM token_secrets WHERE id = $1", secret.0)
        .fetch_optional(&mut *connection)
        .await?;
    match digest {
        Some(digest) => facts::of_digest(connection, digest).await,
        None => Ok(None),
    }
}
