//! Reads and locks the caller of a change, in the transaction of that change.

use crate::kernel::Facts;
use domain::{
    ids::{SecretId, SessionId, UserId},
    roles::InstanceRole,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, facts};

/// An advisory lock, held until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lock {
    pub(crate) key: i64,
    /// Whether the lock is exclusive.
    pub(crate) alone: bool,
}

/// Takes these locks in order. Each lock's queue is fair: shared holders cannot keep an exclusive
/// request waiting forever.
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

/// The current state of a person who may act.
pub(crate) struct PersonStanding {
    pub(crate) instance_role: InstanceRole,
    pub(crate) must_change_password: bool,
    /// Whether the person may sign in. While they must change their password, the user who gave it
    /// must still be allowed to set it.
    pub(crate) may_sign_in: bool,
    /// Whether the requested session exists and has not expired.
    pub(crate) has_session: bool,
}

/// Returns the current state of a person, or `None` if they may not act. `session` is a session's
/// id, the current time, and the time since which the session must have been used.
pub(crate) async fn standing(
    connection: &mut PgConnection,
    user: UserId,
    session: Option<(SessionId, OffsetDateTime, OffsetDateTime)>,
) -> Result<Option<PersonStanding>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT u.instance_role, u.must_change_password,
                  (NOT u.must_change_password OR may_set_password(u.password_set_by, u.instance_role)) AS "may_sign_in!",
                  EXISTS (SELECT FROM sessions s
                           WHERE s.id = $2 AND s.user_id = u.id AND s.expires_at > $3 AND s.last_seen_at > $4) AS "has_session!"
             FROM users u WHERE u.id = $1 AND u.enabled AND u.deleted_at IS NULL"#,
        user.0,
        session.map(|(session, ..)| session.0),
        session.map(|(_, now, _)| now),
        session.map(|(.., idle_since)| idle_since),
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let instance_role = row
            .instance_role
            .parse()
            .map_err(|_| StoreError::corrupt("users.instance_role", user.0))?;
        Ok(PersonStanding {
            instance_role,
            must_change_password: row.must_change_password,
            may_sign_in: row.may_sign_in,
            has_session: row.has_session,
        })
    })
    .transpose()
}

/// A membership of a person and the policy version of its workspace, at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    workspace: Uuid,
    version: Option<i64>,
    policy: Option<i64>,
}

/// The basis of a change: the memberships of its caller, and the versions of the policies of those
/// workspaces and of the instance.
#[derive(Clone, Debug)]
pub(crate) struct Footing {
    memberships: Vec<Membership>,
    instance_policy: Option<i64>,
    /// The latest revision. Later revisions name the other workspaces whose policy changed.
    revision: i64,
}

impl Footing {
    /// Removes a membership that the change itself modifies.
    pub(crate) fn forget(&mut self, workspace: Uuid) {
        self.memberships.retain(|one| one.workspace != workspace);
    }
}

/// The workspaces to check.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Where {
    /// The workspaces whose logs this transaction has written to. It holds the heads of these logs,
    /// and every change of a membership or a policy there needs them.
    Written,
    /// This workspace.
    In(Uuid),
    Everywhere,
}

/// The state of a [`Footing`] when its change is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing has changed.
    Whole,
    /// A membership was changed or deleted.
    NoMembership,
    /// A policy was changed.
    OtherRules,
}

/// Returns the basis of a change by this person, or on their behalf.
pub(crate) async fn footing(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Footing, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT m.workspace_id AS "workspace?", m.version AS "version?", p.version AS "policy?", 0::bigint AS "revision!"
             FROM memberships m LEFT JOIN policies p ON p.workspace_id = m.workspace_id WHERE m.user_id = $1
            UNION ALL
           SELECT NULL, NULL, (SELECT version FROM policies WHERE workspace_id IS NULL),
                  COALESCE((SELECT max(id) FROM revisions), 0)"#,
        user.0,
    )
    .fetch_all(connection)
    .await?;
    let mut footing = Footing { memberships: Vec::new(), instance_policy: None, revision: 0 };
    for row in rows {
        if let Some(workspace) = row.workspace {
            let (version, policy) = (row.version, row.policy);
            footing.memberships.push(Membership { workspace, version, policy });
        } else {
            (footing.instance_policy, footing.revision) = (row.policy, row.revision);
        }
    }
    Ok(footing)
}

/// Compares the basis of a change with the current state. Policies that the transaction itself
/// changed count as unchanged.
pub(crate) async fn is_kept(
    connection: &mut PgConnection,
    user: UserId,
    before: &Footing,
    wanted: Where,
) -> Result<Kept, StoreError> {
    let workspaces: Vec<Uuid> = before.memberships.iter().map(|one| one.workspace).collect();
    let only = if let Where::In(workspace) = wanted { Some(workspace) } else { None };
    // The last part covers workspaces that the caller, an instance administrator, is not in.
    let rows = sqlx::query!(
        r#"SELECT w.id AS "workspace?", m.version AS "version?", p.version AS "policy?",
                  COALESCE(p.xmin = pg_current_xact_id()::xid, false) AS "own!", false AS "other!"
             FROM unnest($2::uuid[]) AS w (id)
             LEFT JOIN audit_heads h ON h.chain = w.id
             LEFT JOIN memberships m ON m.workspace_id = w.id AND m.user_id = $1
             LEFT JOIN policies p ON p.workspace_id = w.id
            WHERE CASE WHEN $4::uuid IS NULL THEN $3 OR h.xmin = pg_current_xact_id()::xid ELSE w.id = $4 END
            UNION ALL
           SELECT NULL, NULL, p.version, COALESCE(p.xmin = pg_current_xact_id()::xid, false), EXISTS (
                    SELECT FROM revisions r JOIN audit_heads h ON h.chain = r.subject_id
                     WHERE r.id > $5 AND r.kind = 'workspace'
                       AND h.xmin = pg_current_xact_id()::xid AND r.subject_id <> ALL ($2::uuid[]))
             FROM (SELECT 1) AS one (row) LEFT JOIN policies p ON p.workspace_id IS NULL"#,
        user.0,
        &workspaces,
        matches!(wanted, Where::Everywhere),
        only,
        before.revision,
    )
    .fetch_all(connection)
    .await?;
    let mut rules_changed = false;
    for row in rows {
        let Some(workspace) = row.workspace else {
            rules_changed |= row.other || !row.own && row.policy != before.instance_policy;
            continue;
        };
        let known = before.memberships.iter().find(|one| one.workspace == workspace);
        if known.is_none_or(|known| known.version != row.version) {
            return Ok(Kept::NoMembership);
        }
        rules_changed |= !row.own && known.is_some_and(|known| known.policy != row.policy);
    }
    Ok(if rules_changed { Kept::OtherRules } else { Kept::Whole })
}

/// Returns the facts of the token that has this secret.
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
