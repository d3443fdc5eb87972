//! Who may know the secret of a token, as the audit log has it: whoever made or imported the token, rotated it or was shown
//! its secret, the users that it acted as, and the same for tokens that did so.
//!
//! The log is complete for tokens of version 0.1 and of its servers that still run, too.

use domain::ids::{TokenId, UserId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// A token that acts as an owner or administrator of the instance, and whose secret others may know who could not get it
/// now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedToken {
    /// The token.
    pub token: TokenId,
    /// Its name.
    pub name: String,
    /// The slug of its workspace.
    pub workspace: String,
    /// The address of the user that it acts as.
    pub user: String,
    /// The addresses of those who may know its secret.
    pub holders: Vec<String>,
    /// The switch.
    pub enabled: bool,
}

/// Returns the tokens that act as this user, or as any owner or administrator of the instance, and whose secret others may
/// know who do not manage the instance now, by the token's id. Replaced secrets count while they work.
///
/// What an account did before its `acts_count_after` counts as the doing of others.
pub(crate) async fn exposed(
    connection: &mut PgConnection,
    user: Option<UserId>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ExposedToken>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE acting AS (
               SELECT t.id, t.user_id, min(s.created_at) AS since
                 FROM tokens t
                 JOIN users u ON u.id = t.user_id
                 JOIN token_secrets s ON s.token_id = t.id AND (s.current OR s.expires_at > $2)
                WHERE t.deleted_at IS NULL AND u.deleted_at IS NULL AND u.instance_role IN ('owner', 'admin')
                  AND ($1::uuid IS NULL OR t.user_id = $1)
                GROUP BY t.id
           ), trace (root, token, first) AS (
               -- From the row that made the oldest secret that works.
               SELECT a.id, a.id, COALESCE((
                          SELECT min(e.id) FROM audit_events e
                           WHERE e.subject_id = a.id AND e.at = a.since
                             AND e.action IN ('token.create', 'token.import', 'token.rotate')
                      ), 0)
                 FROM acting a
               UNION
               -- Tokens that got the secret: all that is known of theirs.
               SELECT c.root, e.actor_id, 0::bigint
                 FROM trace c JOIN audit_events e ON e.subject_id = c.token AND e.id >= c.first
                WHERE e.actor_kind = 'token'
                  AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
           ), holder (root, user_id, act) AS (
               SELECT c.root, e.actor_id, e.id
                 FROM trace c JOIN audit_events e ON e.subject_id = c.token AND e.id >= c.first
                WHERE e.actor_kind = 'user'
                  AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
               UNION ALL
               SELECT c.root, u.id, e.id
                 FROM trace c JOIN audit_events e ON e.subject_id = c.token AND e.id >= c.first
                 JOIN users u ON u.email = e.before->>'user'
                WHERE e.action = 'token.update'
               UNION ALL
               SELECT c.root, t.user_id, 9223372036854775807
                 FROM trace c JOIN tokens t ON t.id = c.token WHERE c.token <> c.root
           )
           SELECT t.id, t.name, w.slug, u.email, t.enabled, array_agg(DISTINCT h.email ORDER BY h.email) AS "holders!"
             FROM acting a
             JOIN tokens t ON t.id = a.id
             JOIN workspaces w ON w.id = t.workspace_id
             JOIN users u ON u.id = t.user_id
             JOIN holder ON holder.root = a.id
             JOIN users h ON h.id = holder.user_id
            WHERE h.acts_count_after >= holder.act
               OR h.id <> a.user_id AND NOT (h.enabled AND h.deleted_at IS NULL AND h.instance_role IN ('owner', 'admin'))
            GROUP BY t.id, w.slug, u.email ORDER BY t.id LIMIT $3"#,
        user.map(|user| user.0),
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let exposed = rows.into_iter().map(|row| ExposedToken {
        token: TokenId(row.id),
        name: row.name,
        workspace: row.slug,
        user: row.email,
        holders: row.holders,
        enabled: row.enabled,
    });
    Ok(exposed.collect())
}
