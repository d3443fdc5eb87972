//! Finds the people who may know the secret of a token, according to the audit log. These are the
//! people who created, imported or rotated the token or viewed its secret, the users that it acted
//! as, and the same people of tokens that did any of this.
//!
//! A secret is *exposed* if it may be known to a person who could not get it now. For a token that
//! acts as an owner or administrator of the instance, these are all people who do not manage the
//! instance. For other tokens, these are all people who could not put the token's scopes of
//! `tessera` on a token of that workspace.
//!
//! The search reads each token once, and each row of the log about its secrets a few times, however
//! long the chains are in which tokens created each other. It first finds the tokens that may be
//! exposed (`candidates`), then everyone who got their secrets (`read`), and `secret_graph`
//! decides. The search for a person's tokens starts from the person, so it does not read tokens
//! that are unrelated to them.
//!
//! The log is also complete for tokens of version 0.1 and of servers that still run it.

use std::collections::HashMap;

use domain::ids::{TokenId, UserId, WorkspaceId};
use futures::TryStreamExt as _;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::task::{spawn_blocking, yield_now};
use uuid::Uuid;

use super::{
    StoreError,
    secret_graph::{Graph, Person, Root},
};
use crate::{
    ServiceError,
    work::{Kind, Pool},
};

/// The number of rows after which a search yields its thread, and the size of the largest graph
/// that is decided on that thread.
const FEW: usize = 500;
/// The size of the largest graph that is accepted: some hundred MiB.
const SIZE_MAX: usize = 4_000_000;

/// The number of tokens that one statement searches. A statement may take a minute, and people who
/// are about to lose rights must not be able to hide their tokens by creating many.
const PORTION: usize = 20_000;

/// A token whose secret may be known to people who could not get it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedToken {
    /// The token.
    pub token: TokenId,
    /// The token's name.
    pub name: String,
    /// The slug of its workspace.
    pub workspace: String,
    /// The id of its workspace.
    pub workspace_id: WorkspaceId,
    /// The address of the user that it acts as.
    pub user: String,
    /// The addresses of the people who may know its secret.
    pub holders: Vec<String>,
    /// Whether the token is enabled.
    pub enabled: bool,
}

/// The exposed tokens to search for. Without a user, a person and ids, these are the tokens that
/// act as owners and administrators of the instance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sought<'a> {
    /// Tokens that act as this user.
    pub(crate) user: Option<UserId>,
    /// Tokens that act as other users, and whose secret this person may know.
    pub(crate) known_to: Option<UserId>,
    /// Tokens of this workspace.
    pub(crate) workspace: Option<WorkspaceId>,
    /// Tokens with these ids.
    pub(crate) ids: Option<&'a [Uuid]>,
    /// Tokens that hold one of these scopes of `tessera`, which a holder must be able to grant.
    /// Also includes tokens with `verify` that act as an owner or administrator of the instance,
    /// because they see the tokens of all workspaces.
    pub(crate) scopes: Option<&'a [String]>,
    /// Whether only people who manage the instance may know the secrets, regardless of whom the
    /// tokens act as now.
    pub(crate) for_managers: bool,
    /// Whether acts of the user are attributed to other people.
    pub(crate) is_doubted: bool,
    /// Only tokens that are enabled.
    pub(crate) enabled: bool,
}

/// Returns exposed tokens, ordered by workspace and id. Replaced secrets count while they work.
///
/// Acts of an account up to its `acts_count_after` are attributed to other people. A user whom the
/// token acted as may know a secret from a rotation only if the token acted as them for an hour
/// after it, because a token can be rotated first and then handed over.
///
/// # Errors
/// `Busy` if other work occupies the threads of `work`, or if the log leads to too many tokens.
pub(crate) async fn exposed(
    connection: &mut PgConnection,
    work: Option<&Pool>,
    sought: &Sought<'_>,
    now: OffsetDateTime,
) -> Result<Vec<(WorkspaceId, TokenId)>, ServiceError> {
    in_portions(connection, work, sought, now, PORTION).await
}

async fn in_portions(
    connection: &mut PgConnection,
    work: Option<&Pool>,
    sought: &Sought<'_>,
    now: OffsetDateTime,
    portion: usize,
) -> Result<Vec<(WorkspaceId, TokenId)>, ServiceError> {
    let mut found = Vec::new();
    for ids in candidates(connection, sought).await?.chunks(portion) {
        let (graph, places) = search(connection, work, (sought, ids), now).await?;
        found.extend(places.into_iter().map(|place| {
            let root = graph.root(place);
            (WorkspaceId(root.workspace), TokenId(root.token))
        }));
    }
    found.sort_unstable_by_key(|(workspace, token)| (workspace.0, token.0));
    Ok(found)
}

/// Returns the first `limit` exposed tokens, with the people who may know their secrets.
///
/// # Errors
/// The same as those of [`exposed`].
pub(crate) async fn with_holders(
    connection: &mut PgConnection,
    work: Option<&Pool>,
    sought: &Sought<'_>,
    now: OffsetDateTime,
    limit: usize,
) -> Result<Vec<ExposedToken>, ServiceError> {
    let ids = candidates(connection, sought).await?;
    let (graph, mut places) = search(connection, work, (sought, &ids), now).await?;
    places.truncate(limit);
    let ids: Vec<Uuid> = places.iter().map(|place| graph.root(*place).token).collect();
    let rows = sqlx::query!(
        "SELECT t.id, t.name, t.workspace_id, w.slug, u.email, t.enabled
           FROM tokens t JOIN workspaces w ON w.id = t.workspace_id JOIN users u ON u.id = t.user_id
          WHERE t.id = ANY($1) ORDER BY t.workspace_id, t.id",
        &ids,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::from)?;
    let places: HashMap<Uuid, usize> = ids.into_iter().zip(places).collect();
    let tokens = rows.into_iter().map(|row| ExposedToken {
        token: TokenId(row.id),
        name: row.name,
        workspace: row.slug,
        workspace_id: WorkspaceId(row.workspace_id),
        user: row.email,
        holders: places.get(&row.id).map(|place| graph.holders(*place)).unwrap_or_default(),
        enabled: row.enabled,
    });
    Ok(tokens.collect())
}

/// Returns the graph of who got the secrets of these tokens, and the indexes of the exposed roots.
async fn search(
    connection: &mut PgConnection,
    work: Option<&Pool>,
    (sought, ids): (&Sought<'_>, &[Uuid]),
    now: OffsetDateTime,
) -> Result<(Graph, Vec<usize>), ServiceError> {
    let known_to = sought.known_to.map(|user| user.0);
    let mut graph = Graph::new(known_to, sought.is_doubted);
    if ids.is_empty() {
        return Ok((graph, Vec::new()));
    }
    read(connection, &mut graph, (sought, ids), now).await?;
    let workspace = sought.workspace.map(|workspace| workspace.0);
    let tenant = workspace.or(known_to).or(sought.user.map(|user| user.0)).unwrap_or_default();
    let work = (work, tenant);
    let (mut graph, (people, workspaces)) = decide(work, graph, |graph| {
        graph.sort();
        graph.people()
    })
    .await?;
    add_people(connection, &mut graph, &people, &workspaces).await?;
    decide(work, graph, |graph| graph.exposed()).await
}

/// Runs a function on a graph. A large graph keeps a processor busy, so its function runs on a
/// thread of the pool or, without a pool, on one of the runtime's blocking threads.
async fn decide<T: Send + 'static>(
    (work, tenant): (Option<&Pool>, Uuid),
    mut graph: Graph,
    function: impl FnOnce(&mut Graph) -> T + Send + 'static,
) -> Result<(Graph, T), ServiceError> {
    if graph.size() <= FEW {
        let found = function(&mut graph);
        return Ok((graph, found));
    }
    let decide = move || {
        let found = function(&mut graph);
        (graph, found)
    };
    match work {
        Some(work) => work.run(Kind::Secrets, tenant, move |_| decide()).await,
        None => spawn_blocking(decide).await.map_err(ServiceError::internal),
    }
}

/// Returns the tokens that may be exposed. For a person, these are the tokens to which the log
/// leads from this person.
async fn candidates(
    connection: &mut PgConnection,
    sought: &Sought<'_>,
) -> Result<Vec<Uuid>, StoreError> {
    match (sought.ids, sought.known_to, sought.user) {
        (Some(ids), ..) => Ok(ids.to_vec()),
        (None, Some(person), _) => reached_from(connection, sought, person).await,
        (None, None, Some(user)) => {
            let found = sqlx::query_scalar!(
                "SELECT id FROM tokens
                  WHERE user_id = $1 AND deleted_at IS NULL AND (enabled OR NOT $2)
                    AND ($3::uuid IS NULL OR workspace_id = $3)
                    AND ($4::text[] IS NULL OR scopes && ($4 || '{verify}'))",
                user.0,
                sought.enabled,
                sought.workspace.map(|workspace| workspace.0),
                sought.scopes,
            );
            Ok(found.fetch_all(connection).await?)
        }
        (None, None, None) => {
            let found = sqlx::query_scalar!(
                "SELECT t.id FROM users u JOIN tokens t ON t.user_id = u.id AND t.deleted_at IS NULL
                  WHERE u.instance_role IN ('owner', 'admin') AND u.deleted_at IS NULL AND (t.enabled OR NOT $1)
                    AND ($2::uuid IS NULL OR t.workspace_id = $2)
                    AND ($3::text[] IS NULL OR t.scopes && ($3 || '{verify}'))",
                sought.enabled,
                sought.workspace.map(|workspace| workspace.0),
                sought.scopes,
            );
            Ok(found.fetch_all(connection).await?)
        }
    }
}

/// Returns the tokens that a person created, imported, rotated or viewed, the tokens that acted as
/// them, and the tokens to which such tokens did the same. Follows these steps from token to token,
/// and visits each token once.
async fn reached_from(
    connection: &mut PgConnection,
    sought: &Sought<'_>,
    person: UserId,
) -> Result<Vec<Uuid>, StoreError> {
    // `OFFSET 0` keeps the planner from reading the whole log for each step.
    let found = sqlx::query_scalar!(
        r#"WITH RECURSIVE acted (email, token) AS (
               SELECT u.email, first.subject_id
                 FROM users u
                CROSS JOIN LATERAL (
                          SELECT e.subject_id FROM audit_events e
                           WHERE e.action = 'token.update' AND e.before ->> 'user' = u.email AND e.subject_id IS NOT NULL
                           ORDER BY e.subject_id LIMIT 1
                      ) first
                WHERE u.id = $1
               UNION ALL
               -- Skips further rows about the same token.
               SELECT a.email, next.subject_id
                 FROM acted a
                CROSS JOIN LATERAL (
                          SELECT e.subject_id FROM audit_events e
                           WHERE e.action = 'token.update' AND e.before ->> 'user' = a.email AND e.subject_id > a.token
                           ORDER BY e.subject_id LIMIT 1
                      ) next
           ), known (token) AS (
               (SELECT e.subject_id FROM audit_events e
                 WHERE e.actor_id = $1 AND e.actor_kind = 'user'
                   AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
                UNION
                SELECT token FROM acted
                UNION
                SELECT id FROM tokens WHERE user_id = $1 AND deleted_at IS NULL
                UNION
                SELECT id FROM tokens WHERE user_id = $1 AND deleted_at IS NOT NULL)
               UNION
               SELECT next.subject_id
                 FROM known k
                CROSS JOIN LATERAL (
                          SELECT e.subject_id FROM audit_events e
                           WHERE e.actor_id = k.token AND e.actor_kind = 'token'
                             AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
                          OFFSET 0
                      ) next
           )
           SELECT t.id AS "id!" FROM known k JOIN tokens t ON t.id = k.token
            WHERE t.deleted_at IS NULL AND t.user_id <> $1 AND (t.enabled OR NOT $2)
              AND ($3::uuid IS NULL OR t.workspace_id = $3)
              AND ($4::text[] IS NULL OR t.scopes && ($4 || '{verify}'))"#,
        person.0,
        sought.enabled,
        sought.workspace.map(|workspace| workspace.0),
        sought.scopes,
    );
    Ok(found.fetch_all(connection).await?)
}

/// Reads who got the secrets of these tokens, who got the secrets of the tokens that got them, and
/// so on. Uses one statement, so that all rows are from one snapshot. If a person loses rights
/// between this statement and [`add_people`], the change that takes the rights notes it. The
/// order by `e.at` selects the index that has no other rows of the log.
#[expect(clippy::too_many_lines, reason = "it is a single SQL statement")]
async fn read(
    connection: &mut PgConnection,
    graph: &mut Graph,
    (sought, ids): (&Sought<'_>, &[Uuid]),
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let mut rows = sqlx::query!(
        r#"WITH RECURSIVE acting AS MATERIALIZED (
               SELECT t.id, t.user_id, t.workspace_id, held.scopes, working.since,
                      $7 OR u.instance_role IN ('owner', 'admin') AS for_managers
                 FROM unnest($1::uuid[]) AS sought (id)
                 JOIN tokens t ON t.id = sought.id
                 JOIN users u ON u.id = t.user_id
                CROSS JOIN LATERAL (
                          SELECT min(s.created_at) AS since FROM token_secrets s
                           WHERE s.token_id = t.id AND (s.current OR s.expires_at > $2)
                      ) working
                 LEFT JOIN LATERAL (
                          SELECT array_agg(scope) AS scopes
                            FROM audiences tessera
                            JOIN token_audiences ta ON ta.audience_id = tessera.id AND ta.token_id = t.id
                           CROSS JOIN unnest(COALESCE(ta.scopes, t.scopes)) scope
                           WHERE $6::text[] IS NOT NULL AND tessera.slug = 'tessera'
                             AND (scope = ANY($6) OR scope = 'verify' AND u.instance_role IN ('owner', 'admin'))
                             AND scope = ANY(t.scopes)
                      ) held ON true
                WHERE t.deleted_at IS NULL AND u.deleted_at IS NULL AND working.since IS NOT NULL
                  AND ($3::uuid IS NULL OR t.user_id = $3)
                  AND ($4::uuid IS NULL OR t.user_id <> $4)
                  AND ($5::uuid IS NULL OR t.workspace_id = $5)
                  AND (t.enabled OR NOT $8)
                  AND CASE WHEN $6 IS NULL THEN $3 IS NOT NULL OR u.instance_role IN ('owner', 'admin')
                           ELSE held.scopes IS NOT NULL END
           ), root AS MATERIALIZED (
               -- Rows count from the one that created the oldest valid secret.
               SELECT a.*, COALESCE(made.id, 0) AS first, COALESCE(made.action = 'token.rotate', false) AS rotated
                 FROM acting a
                 LEFT JOIN LATERAL (
                          SELECT e.id, e.action FROM audit_events e
                           WHERE e.subject_id = a.id AND e.at = a.since
                             AND e.action IN ('token.create', 'token.import', 'token.rotate')
                           ORDER BY e.id LIMIT 1
                      ) made ON true
           ), got AS MATERIALIZED (
               SELECT r.id AS root, e.actor_kind, e.actor_id, e.act
                 FROM root r
                CROSS JOIN LATERAL (
                          SELECT e.actor_kind, e.actor_id, min(e.id) AS act
                            FROM (SELECT e.actor_kind, e.actor_id, e.id FROM audit_events e
                                   WHERE e.subject_id = r.id AND e.id >= r.first AND e.actor_kind IN ('user', 'token')
                                     AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
                                   ORDER BY e.at OFFSET 0) e
                           GROUP BY e.actor_kind, e.actor_id
                      ) e
           ), maker (token) AS (
               -- Tokens that obtained such a secret. All of their log rows count.
               SELECT actor_id FROM got WHERE actor_kind = 'token'
               UNION
               SELECT e.actor_id
                 FROM maker m
                CROSS JOIN LATERAL (
                          SELECT e.actor_id FROM audit_events e
                           WHERE e.subject_id = m.token AND e.actor_kind = 'token'
                             AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
                           ORDER BY e.at OFFSET 0
                      ) e
           ), acted (token, email, act) AS (
               -- One row for each former owner of a token, however often the token was changed.
               SELECT n.token, e.email, e.id
                 FROM (SELECT id AS token FROM root UNION SELECT token FROM maker) n
                CROSS JOIN LATERAL (
                          SELECT e.before ->> 'user' AS email, e.id FROM audit_events e
                           WHERE e.subject_id = n.token AND e.action = 'token.update' AND e.before ->> 'user' > ''
                           ORDER BY e.before ->> 'user', e.id LIMIT 1
                      ) e
               UNION ALL
               SELECT a.token, e.email, e.id
                 FROM acted a
                CROSS JOIN LATERAL (
                          SELECT e.before ->> 'user' AS email, e.id FROM audit_events e
                           WHERE e.subject_id = a.token AND e.action = 'token.update' AND e.before ->> 'user' > a.email
                           ORDER BY e.before ->> 'user', e.id LIMIT 1
                      ) e
           )
           SELECT 0 AS "kind!", r.id AS "token!", r.user_id AS "other!", 0::bigint AS "act!",
                  r.workspace_id AS workspace, r.scopes, r.for_managers
             FROM root r
            UNION ALL
           SELECT CASE actor_kind WHEN 'token' THEN 1 ELSE 2 END, root, actor_id, act,
                  NULL, NULL, NULL
             FROM got
            UNION ALL
           SELECT 2, r.id, u.id, e.id, NULL, NULL, NULL
             FROM acted a JOIN root r ON r.id = a.token JOIN users u ON u.email = a.email
            CROSS JOIN LATERAL (
                      SELECT e.id FROM audit_events e
                       WHERE e.subject_id = a.token AND e.action = 'token.update' AND e.before ->> 'user' = a.email
                         AND e.id >= r.first AND (NOT r.rotated OR e.at > r.since + interval '1 hour')
                       ORDER BY e.id LIMIT 1
                  ) e
            UNION ALL
           SELECT CASE e.actor_kind WHEN 'token' THEN 3 ELSE 4 END, m.token, e.actor_id, e.act,
                  NULL, NULL, NULL
             FROM maker m
            CROSS JOIN LATERAL (
                      SELECT e.actor_kind, e.actor_id, min(e.id) AS act
                        FROM (SELECT e.actor_kind, e.actor_id, e.id FROM audit_events e
                               WHERE e.subject_id = m.token AND e.actor_kind IN ('user', 'token')
                                 AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
                               ORDER BY e.at OFFSET 0) e
                       GROUP BY e.actor_kind, e.actor_id
                  ) e
            UNION ALL
           SELECT 4, a.token, u.id, a.act, NULL, NULL, NULL
             FROM acted a JOIN maker m ON m.token = a.token JOIN users u ON u.email = a.email
            UNION ALL
           SELECT 5, t.id, t.user_id, 0, NULL, NULL, NULL
             FROM maker m JOIN tokens t ON t.id = m.token"#,
        ids,
        now,
        sought.user.map(|user| user.0),
        sought.known_to.map(|user| user.0),
        sought.workspace.map(|workspace| workspace.0),
        sought.scopes,
        sought.for_managers,
        sought.enabled,
    )
    .fetch(connection);
    let mut seen: usize = 0;
    while let Some(row) = rows.try_next().await? {
        seen += 1;
        if seen.is_multiple_of(FEW) {
            yield_now().await;
        }
        if seen > SIZE_MAX {
            let cause = sqlx::Error::Protocol("the audit log connects too many tokens".into());
            return Err(StoreError::Busy(cause));
        }
        match (row.kind, row.workspace) {
            (0, Some(workspace)) => graph.add_root(Root {
                token: row.token,
                user: row.other,
                workspace,
                scopes: row.scopes.unwrap_or_default(),
                for_managers: row.for_managers.unwrap_or_default(),
            }),
            (1, _) => graph.add_root_edge(row.token, row.other),
            (2, _) => graph.add_root_holder(row.token, (row.other, row.act)),
            (3, _) => graph.add_edge(row.token, row.other),
            (4, _) => graph.add_holder(row.token, (row.other, row.act)),
            (5, _) => graph.add_user(row.token, row.other),
            _ => return Err(StoreError::corrupt("audit_events.action", row.token)),
        }
    }
    Ok(())
}

/// Adds the current rights of the people.
async fn add_people(
    connection: &mut PgConnection,
    graph: &mut Graph,
    people: &[Uuid],
    workspaces: &[Uuid],
) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, email, acts_count_after, enabled AND deleted_at IS NULL AS "is_active!",
                  instance_role IN ('owner', 'admin') AS "manages!"
             FROM users WHERE id = ANY($1)"#,
        people,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let person = Person {
            email: row.email,
            acts_count_after: row.acts_count_after,
            is_active: row.is_active,
            manages: row.manages,
            administers: HashMap::new(),
        };
        graph.add_person(row.id, person);
    }
    let rows = sqlx::query!(
        "SELECT user_id, workspace_id, grants, audience_grants FROM memberships
          WHERE role = 'admin' AND user_id = ANY($1) AND workspace_id = ANY($2)",
        people,
        workspaces,
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let of_audiences = row.audience_grants.unwrap_or_default();
        let patterns = row.grants.map(|grants| [grants, of_audiences].concat());
        graph.add_administrator(row.user_id, row.workspace_id, patterns);
    }
    Ok(())
}

#[cfg(test)]
#[path = "secret_holders_tests.rs"]
mod tests;
