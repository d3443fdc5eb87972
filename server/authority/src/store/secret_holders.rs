//! Secrets that a person may know: who may know the secret of a token, as the audit log has it. Those are the people who
//! made or imported the token, rotated it or were shown its secret, the users that it acted as, and the same of tokens that
//! did so.
//!
//! A secret is *exposed* if somebody may know it who could not get it now: of a token that acts as an owner or administrator
//! of the instance, everybody who does not manage the instance; of other tokens, everybody who could not put the token's
//! scopes of `tessera` on a token of that workspace.
//!
//! The log is complete for tokens of version 0.1 and of its servers that still run, too.

use domain::ids::{TokenId, UserId, WorkspaceId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// A token whose secret others may know who could not get it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedToken {
    /// The token.
    pub token: TokenId,
    /// Its name.
    pub name: String,
    /// The slug of its workspace.
    pub workspace: String,
    /// The id of its workspace.
    pub workspace_id: WorkspaceId,
    /// The address of the user that it acts as.
    pub user: String,
    /// The addresses of those who may know its secret.
    pub holders: Vec<String>,
    /// The switch.
    pub enabled: bool,
}

struct ExposedRow {
    id: Uuid,
    name: String,
    workspace_id: Uuid,
    slug: String,
    email: String,
    enabled: bool,
    holders: Vec<String>,
}

impl From<ExposedRow> for ExposedToken {
    fn from(row: ExposedRow) -> Self {
        Self {
            token: TokenId(row.id),
            name: row.name,
            workspace: row.slug,
            workspace_id: WorkspaceId(row.workspace_id),
            user: row.email,
            holders: row.holders,
            enabled: row.enabled,
        }
    }
}

/// Which exposed tokens are sought. Without any bound, those that act as owners and administrators of the instance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sought<'a> {
    /// Tokens that act as this user.
    pub(crate) user: Option<UserId>,
    /// Tokens that act as others, and whose secret this person may know.
    pub(crate) known_to: Option<UserId>,
    /// Tokens of this workspace.
    pub(crate) workspace: Option<WorkspaceId>,
    /// Some of these.
    pub(crate) ids: Option<&'a [Uuid]>,
    /// Tokens that hold one of these scopes of `tessera`, which are what a holder must be able to grant. Also tokens that
    /// verify as an owner or administrator of the instance: they see the tokens of all workspaces.
    pub(crate) scopes: Option<&'a [String]>,
    /// Only people who manage the instance may know the secrets, whoever the tokens act as now.
    pub(crate) for_managers: bool,
    /// Counts acts of the user as acts of others.
    pub(crate) is_doubted: bool,
    /// Tokens that are enabled.
    pub(crate) enabled: bool,
}

/// Returns the workspaces that may have tokens that are sought: those with enabled tokens that act as this user, or that hold one
/// of these scopes in any audience.
pub(crate) async fn workspaces(
    connection: &mut PgConnection,
    user: Option<UserId>,
    scopes: Option<&[String]>,
) -> Result<Vec<WorkspaceId>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT DISTINCT workspace_id FROM tokens
          WHERE deleted_at IS NULL AND enabled
            AND ($1::uuid IS NULL OR user_id = $1) AND ($2::text[] IS NULL OR scopes && ($2 || '{verify}'))
          ORDER BY workspace_id",
        user.map(|user| user.0),
        scopes,
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(WorkspaceId).collect())
}

/// Returns exposed tokens by their workspace and id. Replaced secrets count while they work.
///
/// Acts of an account before its `acts_count_after` count as acts of others. A user whom the token acted as may
/// know a secret from a rotation only if the token acted as them for an hour after it: a token can be rotated first and
/// handed over then.
pub(crate) async fn exposed(
    connection: &mut PgConnection,
    sought: &Sought<'_>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ExposedToken>, StoreError> {
    let rows = sqlx::query_as!(
        ExposedRow,
        r#"WITH RECURSIVE acting AS (
               SELECT t.id, t.user_id, t.workspace_id, held.scopes, min(s.created_at) AS since,
                      $8 OR u.instance_role IN ('owner', 'admin') AS for_managers
                 FROM tokens t
                 JOIN users u ON u.id = t.user_id
                 JOIN token_secrets s ON s.token_id = t.id AND (s.current OR s.expires_at > $2)
                 LEFT JOIN LATERAL (
                          SELECT array_agg(scope) AS scopes
                            FROM audiences tessera
                            JOIN token_audiences ta ON ta.audience_id = tessera.id AND ta.token_id = t.id
                           CROSS JOIN unnest(COALESCE(ta.scopes, t.scopes)) scope
                           WHERE $7::text[] IS NOT NULL AND tessera.slug = 'tessera'
                             AND (scope = ANY($7) OR scope = 'verify' AND u.instance_role IN ('owner', 'admin'))
                             AND scope = ANY(t.scopes)
                      ) held ON true
                WHERE t.deleted_at IS NULL AND u.deleted_at IS NULL
                  AND ($1::uuid IS NULL OR t.user_id = $1)
                  AND ($4::uuid IS NULL OR t.user_id <> $4)
                  AND ($5::uuid IS NULL OR t.workspace_id = $5)
                  AND ($6::uuid[] IS NULL OR t.id = ANY($6))
                  AND (t.enabled OR NOT $10)
                  AND CASE WHEN $7 IS NULL THEN $1 IS NOT NULL OR u.instance_role IN ('owner', 'admin')
                           ELSE held.scopes IS NOT NULL END
                GROUP BY t.id, u.id, held.scopes
           ), trace (root, token, first, rotated) AS (
               -- From the row that made the oldest secret that works.
               SELECT a.id, a.id, COALESCE(m.id, 0), COALESCE(m.action = 'token.rotate', false)
                 FROM acting a
                 LEFT JOIN LATERAL (
                          SELECT e.id, e.action FROM audit_events e
                           WHERE e.subject_id = a.id AND e.at = a.since
                             AND e.action IN ('token.create', 'token.import', 'token.rotate')
                           ORDER BY e.id LIMIT 1
                      ) m ON true
               UNION
               -- Tokens that got the secret: all that is known of theirs.
               SELECT c.root, e.actor_id, 0::bigint, false
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
                 FROM trace c JOIN acting a ON a.id = c.root
                 JOIN audit_events e ON e.subject_id = c.token AND e.id >= c.first
                 JOIN users u ON u.email = e.before->>'user'
                WHERE e.action = 'token.update' AND (NOT c.rotated OR e.at > a.since + interval '1 hour')
               UNION ALL
               SELECT c.root, t.user_id, 9223372036854775807
                 FROM trace c JOIN tokens t ON t.id = c.token WHERE c.token <> c.root
           )
           SELECT t.id, t.name, t.workspace_id, w.slug, u.email, t.enabled,
                  array_agg(DISTINCT h.email ORDER BY h.email) AS "holders!"
             FROM acting a
             JOIN tokens t ON t.id = a.id
             JOIN workspaces w ON w.id = t.workspace_id
             JOIN users u ON u.id = t.user_id
             JOIN holder ON holder.root = a.id
             JOIN users h ON h.id = holder.user_id
             LEFT JOIN memberships m ON m.workspace_id = a.workspace_id AND m.user_id = h.id
            WHERE ($4::uuid IS NULL OR h.id = $4)
              AND (h.acts_count_after >= holder.act OR $9 AND h.id = a.user_id
                OR h.id <> a.user_id AND NOT (
                       h.enabled AND h.deleted_at IS NULL
                       AND (h.instance_role IN ('owner', 'admin')
                            OR NOT a.for_managers AND COALESCE(m.role = 'admin', false) AND NOT EXISTS (
                                   SELECT FROM unnest(a.scopes) AS wanted (scope)
                                    WHERE m.grants IS NOT NULL AND NOT EXISTS (
                                          SELECT FROM unnest(m.grants || m.audience_grants) AS pattern (whole)
                                           CROSS JOIN LATERAL (SELECT regexp_replace(whole, '^tessera/', '') AS name) own
                                           WHERE own.name IN ('*', wanted.scope)
                                              OR own.name LIKE '%:*' AND starts_with(wanted.scope, left(own.name, -1))
                                    )
                            ))))
            GROUP BY t.id, w.slug, u.email ORDER BY t.workspace_id, t.id LIMIT $3"#,
        sought.user.map(|user| user.0),
        now,
        limit,
        sought.known_to.map(|user| user.0),
        sought.workspace.map(|workspace| workspace.0),
        sought.ids,
        sought.scopes,
        sought.for_managers,
        sought.is_doubted,
        sought.enabled,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(ExposedToken::from).collect())
}
