//! Reads what a verification needs, by the digest of a secret: either the facts of the token
//! itself, or also its surroundings, which the rest of the database adds to them. Each takes one
//! statement and includes deleted tokens.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::kernel::{
    AudienceRights, Counted, Facts, Rendered, SecretFacts, Surroundings, Validity, Verifies,
};
use domain::{
    access::{Permission, Permissions},
    catalogue::{ScopeName, TESSERA_AUDIENCE},
    grants::{GrantPattern, Grants, KnownScope, Rights},
    ids::{SecretId, TokenId, UserId, WorkspaceId},
    names::{AudienceSlug, Slug},
    rate_limit::RateLimit,
    roles::{InstanceRole, WorkspaceRole},
    scope_pattern::Steps,
    token::UserSummary,
};
use futures::TryStreamExt as _;
use ipnet::IpNet;
use serde::{Deserialize, de::DeserializeOwned};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    StoreError, members,
    secrets::{parse_all, rate_limit},
};
use crate::{Pace, work::Heavy};

/// The facts in the rows of a token and its secret.
#[derive(Clone, Debug)]
pub(crate) struct Bare {
    /// The key of its surroundings.
    pub(crate) key: SurroundingsKey,
    token_id: TokenId,
    name: String,
    enabled: bool,
    deleted: bool,
    not_before: Option<OffsetDateTime>,
    expires_at: Option<OffsetDateTime>,
    ended: bool,
    secret: SecretFacts,
    ip_allow: Vec<IpNet>,
    rate_limit: Option<RateLimit>,
}

/// The properties of a token that its surroundings depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SurroundingsKey {
    pub(crate) workspace: WorkspaceId,
    pub(crate) user: UserId,
    /// The audience rows, each with its scopes.
    audiences: Vec<String>,
    scopes: Vec<String>,
}

impl SurroundingsKey {
    fn new(
        workspace: WorkspaceId,
        user: UserId,
        mut audiences: Vec<String>,
        scopes: Vec<String>,
    ) -> Self {
        audiences.sort_unstable();
        Self { workspace, user, audiences, scopes }
    }

    /// The total length of the texts, in bytes.
    fn bytes(&self) -> usize {
        self.texts().map(str::len).sum()
    }

    /// The texts of this key.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.audiences.iter().chain(&self.scopes).map(String::as_str)
    }
}

impl Bare {
    /// Combines these facts with the token's surroundings.
    pub(crate) fn with(self, surroundings: Arc<Surroundings>) -> Facts {
        Facts {
            token_id: self.token_id,
            name: self.name,
            surroundings,
            enabled: self.enabled,
            deleted: self.deleted,
            not_before: self.not_before,
            expires_at: self.expires_at,
            ended: self.ended,
            secret: self.secret,
            ip_allow: self.ip_allow,
            rate_limit: self.rate_limit,
        }
    }
}

/// Builds a [`Bare`] from a row. Both queries have these columns.
///
/// A token's `updated_at` never decreases. A token or secret that had expired by then stays
/// expired, whatever the clocks of the servers say.
macro_rules! bare {
    ($row:ident) => {{
        let corrupt = |column| StoreError::corrupt(column, $row.id);
        Bare {
            key: SurroundingsKey::new(
                WorkspaceId($row.workspace_id),
                UserId($row.user_id),
                $row.audience_rows,
                $row.scopes,
            ),
            token_id: TokenId($row.id),
            name: $row.name,
            enabled: $row.enabled,
            deleted: $row.deleted_at.is_some(),
            not_before: $row.not_before,
            expires_at: $row.expires_at,
            ended: $row.ended,
            secret: SecretFacts {
                id: SecretId($row.secret_id),
                current: $row.secret_current,
                awaited: $row.secret_awaited,
                reused: $row.secret_reused,
                created_at: $row.secret_created_at,
                expires_at: $row.secret_expires_at,
                ended: $row.secret_ended,
            },
            ip_allow: parse_all(&$row.ip_allow).ok_or_else(|| corrupt("tokens.ip_allow"))?,
            rate_limit: rate_limit($row.rate_limit, $row.rate_window_s)
                .map_err(|()| corrupt("tokens.rate_limit"))?,
        }
    }};
}

/// Returns the tokens that these digests belong to, by digest, without their surroundings. Reads
/// only two tables and an index.
pub(crate) async fn bare(
    connection: &mut PgConnection,
    digests: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, Bare>, StoreError> {
    let mut rows = sqlx::query!(
        r#"SELECT s.digest, t.id, t.name, t.workspace_id, t.user_id, t.scopes, t.enabled, t.not_before, t.expires_at,
                  t.ip_allow, t.rate_limit, t.rate_window_s, t.deleted_at, s.expires_at AS secret_expires_at,
                  COALESCE(t.expires_at <= t.updated_at, false) AS "ended!",
                  COALESCE(s.expires_at <= t.updated_at, false) AS "secret_ended!",
                  s.created_at AS secret_created_at,
                  s.id AS secret_id, s.current AS secret_current,
                  s.current AND s.first_used_at IS NULL AND t.rotated_at IS NOT NULL AS "secret_awaited!",
                  s.reused_at IS NOT NULL AS "secret_reused!",
                  ARRAY(SELECT ta.audience_id || COALESCE(' ' || array_to_string(ta.scopes, ' '), '')
                          FROM token_audiences ta WHERE ta.token_id = t.id) AS "audience_rows!"
             FROM token_secrets s
             JOIN tokens t ON t.id = s.token_id
            -- ANY($1) would make the planner create a new plan for each length of the list, which takes longer
            -- than the query.
            WHERE s.digest = ANY(ARRAY(SELECT unnest($1::bytea[])))"#,
        digests,
    )
    .fetch(connection);
    let (mut found, mut pace) = (HashMap::with_capacity(digests.len()), Pace::default());
    while let Some(row) = rows.try_next().await? {
        let bare = bare!(row);
        pace.spend_bytes(bare.key.bytes()).await;
        found.insert(row.digest, bare);
    }
    Ok(found)
}

/// Returns the tokens that these digests belong to, by digest, with the rows that their
/// surroundings are computed from.
///
/// An owner is active while they are enabled and either belong to the workspace or manage the
/// instance. Scopes that the catalogue no longer has, or has retired, are not granted. Of the
/// others, a token keeps those that its owner may currently grant.
pub(crate) async fn whole(
    connection: &mut PgConnection,
    digests: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, Unread>, StoreError> {
    let mut rows = sqlx::query!(
        r#"SELECT s.digest, t.id, t.name, t.workspace_id, t.user_id, t.scopes, t.enabled, t.not_before, t.expires_at,
                  t.ip_allow, t.rate_limit, t.rate_window_s, t.deleted_at, s.expires_at AS secret_expires_at,
                  COALESCE(t.expires_at <= t.updated_at, false) AS "ended!",
                  COALESCE(s.expires_at <= t.updated_at, false) AS "secret_ended!",
                  s.created_at AS secret_created_at,
                  s.id AS secret_id, s.current AS secret_current,
                  s.current AND s.first_used_at IS NULL AND t.rotated_at IS NOT NULL AS "secret_awaited!",
                  s.reused_at IS NOT NULL AS "secret_reused!",
                  ARRAY(SELECT ta.audience_id || COALESCE(' ' || array_to_string(ta.scopes, ' '), '')
                          FROM token_audiences ta WHERE ta.token_id = t.id) AS "audience_rows!",
                  w.slug, u.email, u.name AS user_name,
                  u.enabled AND (u.instance_role IN ('owner', 'admin') OR m.user_id IS NOT NULL) AS "user_active!",
                  u.instance_role, m.role AS "role?", m.grants AS "grants?", m.audience_grants AS "audience_grants?",
                  CASE WHEN u.instance_role NOT IN ('owner', 'admin')
                            AND (m.grants IS NOT NULL OR m.role NOT IN ('admin', 'member'))
                       THEN (SELECT json_agg(json_build_object('audience', a.slug, 'name', k.name, 'risk', k.risk,
                                                                 'implies', k.implies_all))::text
                               FROM token_audiences ta
                               JOIN audiences a ON a.id = ta.audience_id
                               JOIN scopes k ON k.audience_id = ta.audience_id
                              WHERE ta.token_id = t.id AND k.retired_at IS NULL)
                  END AS "known?",
                  (SELECT json_agg(json_build_object(
                            'audience', a.slug,
                            'scopes', h.held,
                            'exact', ARRAY(SELECT unnest(c.name || c.implies_all) FROM scopes c
                                            WHERE c.audience_id = ta.audience_id AND c.name = ANY(h.held)
                                              AND c.retired_at IS NULL),
                            -- The patterns that may contain a held URI. Only tokens that hold a URI need them.
                            'patterns', CASE WHEN array_to_string(h.held, ' ') LIKE '%://%' THEN
                                ARRAY(SELECT c.name FROM scopes c
                                       WHERE c.audience_id = ta.audience_id AND c.name LIKE '%://%'
                                         AND c.retired_at IS NULL)
                                ELSE '{}' END,
                            'retired', CASE WHEN array_to_string(h.held, ' ') LIKE '%://%' THEN
                                ARRAY(SELECT c.name FROM scopes c
                                       WHERE c.audience_id = ta.audience_id AND c.name = ANY(h.held)
                                         AND c.retired_at IS NOT NULL)
                                ELSE '{}' END))::text
                     FROM token_audiences ta
                     JOIN audiences a ON a.id = ta.audience_id
                     CROSS JOIN LATERAL (SELECT CASE WHEN ta.scopes IS NOT NULL
                            -- <@ takes time proportional to the product of both lengths.
                            AND CASE WHEN cardinality(ta.scopes)::bigint * cardinality(t.scopes) <= 10000
                                     THEN ta.scopes <@ t.scopes
                                     ELSE NOT EXISTS (SELECT unnest(ta.scopes) EXCEPT SELECT unnest(t.scopes)) END
                       THEN ta.scopes
                                                     ELSE held_scopes(ta.scopes, t.scopes, t.id, ta.audience_id)
                                                END AS held) h
                    WHERE ta.token_id = t.id) AS "rights?"
             FROM token_secrets s
             JOIN tokens t ON t.id = s.token_id
             JOIN workspaces w ON w.id = t.workspace_id
             JOIN users u ON u.id = t.user_id
             LEFT JOIN memberships m ON m.workspace_id = t.workspace_id AND m.user_id = u.id
            WHERE s.digest = ANY(ARRAY(SELECT unnest($1::bytea[])))"#,
        digests,
    )
    .fetch(connection);
    let (mut found, mut pace) = (HashMap::with_capacity(digests.len()), Pace::default());
    while let Some(row) = rows.try_next().await? {
        let id = row.id;
        let corrupt = |column| StoreError::corrupt(column, id);
        let (instance_role, role) =
            roles(&row.instance_role, row.role.as_deref()).map_err(corrupt)?;
        let grants =
            members::parse_grants(row.grants.as_deref(), row.audience_grants.as_deref(), id)?;
        let unread = Unread {
            workspace: row.slug.parse().map_err(|_| corrupt("workspaces.slug"))?,
            user: UserSummary { id: UserId(row.user_id), email: row.email, name: row.user_name },
            user_active: row.user_active,
            roles: (instance_role, role),
            grants,
            rights: row.rights.unwrap_or_default(),
            known: row.known.unwrap_or_default(),
            bare: bare!(row),
        };
        pace.spend_bytes(unread.bare.key.bytes() + unread.bytes()).await;
        found.insert(row.digest, unread);
    }
    Ok(found)
}

/// A token as its row and the related rows describe it, before its rights are computed. The
/// computation takes long for a token with many scopes.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) bare: Bare,
    workspace: Slug,
    user: UserSummary,
    user_active: bool,
    roles: (InstanceRole, Option<WorkspaceRole>),
    /// The grants of its owner's membership, if the membership has its own.
    grants: Option<Vec<GrantPattern>>,
    /// JSON of [`RightsRow`]s.
    rights: String,
    /// JSON of [`KnownScope`]s.
    known: String,
}

/// Reading more bytes than this takes a large part of a millisecond.
const SOON_BYTES: usize = 32 * 1024;
/// This many steps take less than a millisecond.
const SOON_STEPS: u32 = 50_000;
/// The maximum number of steps to compute a token's rights, some tens of milliseconds. Rights that
/// are not found within them are not granted.
const READ_STEPS: u32 = 10_000_000;

impl Unread {
    /// Computes the surroundings on a thread that serves verifications. Returns `None` if that
    /// takes too long there. Also returns the number of steps taken.
    pub(crate) fn read_soon(&self) -> Result<(Option<Surroundings>, usize), StoreError> {
        if self.bytes() > SOON_BYTES {
            return Ok((None, 0));
        }
        let mut steps = Steps::new(SOON_STEPS);
        let read = self.read_within(&mut steps)?;
        let taken = (SOON_STEPS - steps.left()) as usize;
        Ok(((steps.left() > 0).then_some(read), taken))
    }

    fn bytes(&self) -> usize {
        self.rights.len() + self.known.len()
    }

    /// Computes the surroundings. Also returns the number of steps taken.
    fn read(&self) -> (Result<Surroundings, StoreError>, usize) {
        let mut steps = Steps::new(READ_STEPS);
        let read = self.read_within(&mut steps);
        // Parsing a byte takes about as long as a step.
        (read, (READ_STEPS - steps.left()) as usize + self.bytes())
    }

    fn read_within(&self, steps: &mut Steps) -> Result<Surroundings, StoreError> {
        let known: Vec<KnownScope> = self.parse(&self.known, "scopes.name")?;
        let rows: Vec<RightsRow> = self.parse(&self.rights, "token_audiences.scopes")?;
        let (instance_role, role) = self.roles;
        let grants = Grants::of(instance_role, role, self.grants.as_deref());
        let may_grant = grants.rights_within(&known, steps);
        let mut rights: Vec<AudienceRights> =
            rows.into_iter().map(|row| row.within(&may_grant, steps)).collect();
        rights.sort_unstable_by(|one, other| one.audience.cmp(&other.audience));
        Ok(Surroundings {
            workspace_id: self.bare.key.workspace,
            workspace: self.workspace.clone(),
            user: self.user.clone(),
            user_active: self.user_active,
            verifies: verifies(instance_role, role, &rights),
            rights: rights.into(),
            rendered: Rendered::default(),
            counted: Counted::default(),
            validity: Validity::default(),
        })
    }

    fn parse<T: DeserializeOwned>(
        &self,
        text: &str,
        column: &'static str,
    ) -> Result<Vec<T>, StoreError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(text).map_err(|_| StoreError::corrupt(column, self.bare.token_id.0))
    }
}

/// Computes the surroundings of these rows in order: of at least the first one, and of more until
/// the budget of steps is used up. The caller then lets other work run.
pub(crate) fn read_some(rows: &[Arc<Unread>], _: &Heavy) -> Vec<Result<Surroundings, StoreError>> {
    let mut taken = 0;
    let next = |row: &Arc<Unread>| {
        (taken < READ_STEPS as usize).then(|| {
            let (read, steps) = row.read();
            taken += steps;
            read
        })
    };
    rows.iter().map_while(next).collect()
}

/// Returns the facts of a token as a verification of its current secret reads them, or `None` if it
/// has no secret.
pub(crate) async fn of_token(
    connection: &mut PgConnection,
    token: TokenId,
) -> Result<Option<Facts>, StoreError> {
    let digest = sqlx::query_scalar!(
        "SELECT digest FROM token_secrets WHERE token_id = $1 AND current",
        token.0,
    )
    .fetch_optional(&mut *connection)
    .await?;
    match digest {
        Some(digest) => of_digest(connection, digest).await,
        None => Ok(None),
    }
}

/// Returns the facts of the token that has a secret with this digest.
pub(crate) async fn of_digest(
    connection: &mut PgConnection,
    digest: Vec<u8>,
) -> Result<Option<Facts>, StoreError> {
    let mut found = whole(connection, std::slice::from_ref(&digest)).await?;
    let Some(unread) = found.remove(&digest) else { return Ok(None) };
    // This function never runs on a thread that serves verifications.
    let surroundings = unread.read().0?;
    Ok(Some(unread.bare.with(Arc::new(surroundings))))
}

/// Parses a user's roles. Returns the name of the column that cannot be parsed as the error.
fn roles(
    instance: &str,
    workspace: Option<&str>,
) -> Result<(InstanceRole, Option<WorkspaceRole>), &'static str> {
    let instance = instance.parse().map_err(|_| "users.instance_role")?;
    let workspace = workspace.map(str::parse).transpose().map_err(|_| "memberships.role")?;
    Ok((instance, workspace))
}

/// The scopes that a token holds in an audience, and the related scopes of the catalogue.
#[derive(Debug, Deserialize)]
struct RightsRow {
    audience: AudienceSlug,
    scopes: Vec<ScopeName>,
    exact: Vec<ScopeName>,
    patterns: Vec<ScopeName>,
    retired: Vec<ScopeName>,
}

impl RightsRow {
    /// Returns the token's rights: the scopes that it holds according to the catalogue, those that
    /// they imply, and the held parts of patterns, limited to what its owner may grant.
    fn within(self, may_grant: &Rights, steps: &mut Steps) -> AudienceRights {
        let Self { audience, mut scopes, exact: mut granted, patterns, retired } = self;
        scopes.sort_unstable();
        granted.sort_unstable();
        granted.dedup();
        grant_parts(&mut granted, &scopes, (&patterns, &retired), steps);
        granted.sort_unstable();
        let granted = may_grant.cut_within(&audience, granted, steps).into();
        AudienceRights { audience, scopes: scopes.into(), granted }
    }
}

/// Returns whose tokens a token with these rights may verify, given the roles of its owner.
fn verifies(
    instance: InstanceRole,
    role: Option<WorkspaceRole>,
    rights: &[AudienceRights],
) -> Verifies {
    let own = rights.iter().find(|rights| rights.audience.as_ref() == TESSERA_AUDIENCE);
    let granted = own.map_or(&[][..], |rights| &rights.granted);
    // Self-service does not matter for verification.
    let permissions =
        Permissions::of_user(instance, role, false).and(Permissions::of_scopes(granted));
    if !permissions.allows(Permission::Verify) {
        Verifies::Nobody
    } else if matches!(instance, InstanceRole::Owner | InstanceRole::Admin) {
        Verifies::Instance
    } else {
        Verifies::Workspace
    }
}

/// Adds the held URIs that a pattern of the catalogue covers, except those that the catalogue
/// itself has as retired scopes. `granted` must be sorted.
fn grant_parts(
    granted: &mut Vec<ScopeName>,
    held: &[ScopeName],
    (patterns, retired): (&[ScopeName], &[ScopeName]),
    steps: &mut Steps,
) {
    let retired: HashSet<&ScopeName> = retired.iter().collect();
    let mut parts: Vec<ScopeName> = held
        .iter()
        .filter(|name| {
            name.is_uri()
                && granted.binary_search(name).is_err()
                && !retired.contains(name)
                && patterns
                    .iter()
                    .any(|pattern| steps.lend(|steps| pattern.covers_within(name, steps)))
        })
        .cloned()
        .collect();
    granted.append(&mut parts);
}

#[cfg(test)]
pub(crate) fn apart(facts: Facts) -> (Bare, Surroundings) {
    let surroundings = Surroundings::clone(&facts.surroundings);
    let (workspace, user) = (surroundings.workspace_id, surroundings.user.id);
    let bare = Bare {
        key: SurroundingsKey::new(workspace, user, Vec::new(), Vec::new()),
        token_id: facts.token_id,
        name: facts.name,
        enabled: facts.enabled,
        deleted: facts.deleted,
        not_before: facts.not_before,
        expires_at: facts.expires_at,
        ended: facts.ended,
        secret: facts.secret,
        ip_allow: facts.ip_allow,
        rate_limit: facts.rate_limit,
    };
    (bare, surroundings)
}

/// Returns the row of a token with these scopes, whose owner's membership has these grants.
#[cfg(test)]
pub(crate) fn unread(granted: &[String], grants: &[String]) -> Unread {
    let (bare, surroundings) = apart(crate::kernel::known::facts(1, 7));
    let rights = serde_json::json!([{
        "audience": "tables", "scopes": granted, "exact": granted, "patterns": [], "retired": [],
    }]);
    Unread {
        bare,
        workspace: surroundings.workspace,
        user: surroundings.user,
        user_active: true,
        roles: (InstanceRole::Member, Some(WorkspaceRole::Member)),
        grants: Some(grants.iter().map(|text| text.parse().unwrap()).collect()),
        rights: rights.to_string(),
        known: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_that_take_long_to_parse_are_left_to_worker_threads() {
        let names = |count: usize, length: usize| -> Vec<String> {
            let name = |number| format!("table://~{}{number:04}", "a".repeat(length));
            (0..count).map(name).collect()
        };
        let hard: Vec<String> = (0..64)
            .map(|number| format!("tables/table://*{}x{number}*", "a".repeat(200)))
            .chain(["tables/table://~**".to_owned()])
            .collect();
        let easy = ["tables/table://~**".to_owned()];
        for (granted, grants, is_soon) in [
            (names(10, 20), &easy[..], true),
            (names(10, 400), &easy, true),
            // Many bytes.
            (names(200, 400), &easy, false),
            // Many steps.
            (names(1, 400), &hard, false),
        ] {
            let unread = unread(&granted, grants);
            let (read, steps) = unread.read_soon().unwrap();
            assert!(steps <= SOON_STEPS as usize);
            assert_eq!(read.is_some(), is_soon, "{} {steps}", granted.len());
            let whole = unread.read().0.unwrap();
            assert_eq!(whole.rights[0].granted.len(), granted.len());
            assert!(read.is_none_or(|read| read == whole));
        }
    }

    #[test]
    fn rights_that_take_too_long_are_not_granted_and_later_rows_are_postponed() {
        let name = |number| format!("table://~{}{number:04}", "a".repeat(400));
        let wide: Vec<String> = (0..120).map(name).collect();
        let hard: Vec<String> = (0..64)
            .map(|number| format!("tables/table://*{}x{number}*", "a".repeat(200)))
            .collect();
        let everything = ["*".to_owned()];
        let rows = [&everything[..], &hard, &everything].map(|grants| unread(&wide, grants).into());
        let read = read_some(&rows, &Heavy::test());
        let granted: Vec<usize> =
            read.into_iter().map(|read| read.unwrap().rights[0].granted.len()).collect();
        // The third row is left for later.
        assert_eq!(granted, [120, 0]);
    }

    #[test]
    fn unreadable_rights_are_an_error() {
        let corrupt = Unread { rights: "[{}]".into(), ..unread(&[], &[]) };
        assert!(matches!(corrupt.read_soon(), Err(StoreError::Corrupt { .. })));
    }
}
