//! Secrets of tokens, by digest: what a verification reads. What changes them is in `secrets_change`.

use std::collections::HashMap;

use domain::{
    access::{Permission, Permissions},
    catalogue::{ScopeName, TESSERA_AUDIENCE},
    decision::{Facts, SecretFacts, Verifies},
    grants::{Grants, KnownScope},
    ids::{SecretId, TokenId, WorkspaceId},
    names::AudienceSlug,
    rate_limit::RateLimit,
    roles::{InstanceRole, WorkspaceRole},
    token::UserSummary,
};
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;

use super::StoreError;
use crate::keys::{Digest, Sealed};

/// A secret to insert.
pub(crate) struct NewSecret<'a> {
    pub(crate) id: SecretId,
    pub(crate) digest: &'a Digest,
    pub(crate) hint: &'a str,
    /// Its text under the sealing key, when the token is recoverable.
    pub(crate) sealed: Option<&'a Sealed>,
}

/// Inserts a token's current secret.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    token: TokenId,
    secret: &NewSecret<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO token_secrets (id, token_id, digest, pepper_version, hint, sealed, seal_key_version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        secret.id.0,
        token.0,
        &secret.digest.bytes[..],
        secret.digest.pepper_version,
        secret.hint,
        secret.sealed.map(|sealed| &sealed.bytes[..]),
        secret.sealed.map(|sealed| sealed.key_version),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All facts about the tokens that these digests belong to, by digest. One query, tombstones included.
///
/// The user belongs to the workspace while it is enabled and is a member or manages the instance.
/// A scope that its catalogue no longer has, or has retired, is granted to nobody, and of the others the
/// token keeps what its user may grant at present.
pub(crate) async fn facts(
    connection: &mut PgConnection,
    digests: &[&Digest],
) -> Result<HashMap<Vec<u8>, Facts>, StoreError> {
    let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.bytes.to_vec()).collect();
    let rows = sqlx::query!(
        r#"SELECT s.digest, t.id, t.name, t.workspace_id, w.slug, t.scopes, t.enabled, t.not_before, t.expires_at,
                  t.ip_allow, t.rate_limit, t.rate_window_s, t.deleted_at, s.expires_at AS secret_expires_at,
                  s.created_at AS secret_created_at,
                  s.id AS secret_id, s.current AS secret_current,
                  s.first_used_at IS NOT NULL AS "secret_used!", s.reused_at IS NOT NULL AS "secret_reused!",
                  u.id AS user_id, u.email, u.name AS user_name,
                  u.enabled AND (u.instance_role IN ('owner', 'admin') OR m.user_id IS NOT NULL) AS "user_active!",
                  u.instance_role, m.role AS "role?", m.grants AS "grants?",
                  CASE WHEN u.instance_role NOT IN ('owner', 'admin')
                            AND (m.grants IS NOT NULL OR m.role NOT IN ('admin', 'member'))
                       THEN (SELECT jsonb_agg(jsonb_build_object('name', k.name, 'risk', k.risk, 'implies', k.implies_all))
                               FROM token_audiences ta JOIN scopes k ON k.audience_id = ta.audience_id
                              WHERE ta.token_id = t.id AND k.retired_at IS NULL)
                  END AS "known?: Json<Vec<KnownScope>>",
                  ARRAY(SELECT a.slug FROM token_audiences ta JOIN audiences a ON a.id = ta.audience_id
                         WHERE ta.token_id = t.id) AS "audiences!",
                  ARRAY(SELECT unnest(c.name || c.implies_all)
                          FROM token_audiences ta
                          JOIN scopes c ON c.audience_id = ta.audience_id AND c.name = ANY(t.scopes)
                                       AND c.retired_at IS NULL
                         WHERE ta.token_id = t.id) AS "granted!",
                  -- Only for tokens that hold a URI: what it may be a part of.
                  CASE WHEN array_to_string(t.scopes, ' ') LIKE '%://%' THEN
                       ARRAY(SELECT c.name
                               FROM token_audiences ta
                               JOIN scopes c ON c.audience_id = ta.audience_id AND c.name LIKE '%://%'
                                            AND c.retired_at IS NULL
                              WHERE ta.token_id = t.id)
                  END AS "patterns?",
                  CASE WHEN array_to_string(t.scopes, ' ') LIKE '%://%' THEN
                       ARRAY(SELECT c.name
                               FROM token_audiences ta
                               JOIN scopes c ON c.audience_id = ta.audience_id AND c.name = ANY(t.scopes)
                                            AND c.retired_at IS NOT NULL
                              WHERE ta.token_id = t.id)
                  END AS "retired?"
             FROM token_secrets s
             JOIN tokens t ON t.id = s.token_id
             JOIN workspaces w ON w.id = t.workspace_id
             JOIN users u ON u.id = t.user_id
             LEFT JOIN memberships m ON m.workspace_id = t.workspace_id AND m.user_id = u.id
            -- Not ANY($1): how long the list is would make the planner plan anew for every one, which takes
            -- four times as long as the query.
            WHERE s.digest = ANY(ARRAY(SELECT unnest($1::bytea[])))"#,
        &digests,
    )
    .fetch_all(connection)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let corrupt = |column| StoreError::corrupt(column, row.id);
        let scopes: Vec<ScopeName> =
            parse_all(&row.scopes).ok_or_else(|| corrupt("tokens.scopes"))?;
        let of_uris = [row.patterns, row.retired].map(Option::unwrap_or_default);
        let granted =
            granted(&scopes, &row.granted, &of_uris).ok_or_else(|| corrupt("scopes.name"))?;
        let (instance_role, role) =
            roles(&row.instance_role, row.role.as_deref()).map_err(corrupt)?;
        let grants = row.grants.as_deref().map(|grants| parse_all(grants).ok_or(grants));
        let grants: Option<Vec<_>> =
            grants.transpose().map_err(|_| corrupt("memberships.grants"))?;
        let rights = Grants::of(instance_role, role, grants.as_deref())
            .rights(row.known.iter().flat_map(|known| &known.0));
        let granted = rights.cut(granted);
        let audiences = sorted(&row.audiences).ok_or_else(|| corrupt("audiences.slug"))?;
        let verifies = verifies(instance_role, role, &audiences, &granted);
        let facts = Facts {
            token_id: TokenId(row.id),
            name: row.name,
            workspace_id: WorkspaceId(row.workspace_id),
            workspace: row.slug.parse().map_err(|_| corrupt("workspaces.slug"))?,
            user: UserSummary { id: row.user_id.into(), email: row.email, name: row.user_name },
            user_active: row.user_active,
            audiences: audiences.into(),
            scopes: scopes.into(),
            granted: granted.into(),
            verifies,
            enabled: row.enabled,
            deleted: row.deleted_at.is_some(),
            not_before: row.not_before,
            expires_at: row.expires_at,
            secret: SecretFacts {
                id: SecretId(row.secret_id),
                current: row.secret_current,
                used: row.secret_used,
                reused: row.secret_reused,
                created_at: row.secret_created_at,
                expires_at: row.secret_expires_at,
            },
            ip_allow: parse_all(&row.ip_allow).ok_or_else(|| corrupt("tokens.ip_allow"))?,
            rate_limit: rate_limit(row.rate_limit, row.rate_window_s)
                .map_err(|()| corrupt("tokens.rate_limit"))?,
        };
        found.insert(row.digest, facts);
    }
    Ok(found)
}

/// What a user is; the column's name when one cannot be read.
fn roles(
    instance: &str,
    workspace: Option<&str>,
) -> Result<(InstanceRole, Option<WorkspaceRole>), &'static str> {
    let instance = instance.parse().map_err(|_| "users.instance_role")?;
    let workspace = workspace.map(str::parse).transpose().map_err(|_| "memberships.role")?;
    Ok((instance, workspace))
}

/// Whose tokens a token with these scopes may be asked about, given the roles of its user.
fn verifies(
    instance: InstanceRole,
    role: Option<WorkspaceRole>,
    audiences: &[AudienceSlug],
    granted: &[ScopeName],
) -> Verifies {
    // Managing one's own tokens has nothing to do with it.
    let permissions =
        Permissions::of_user(instance, role, false).and(Permissions::of_scopes(granted));
    if !audiences.iter().any(|slug| slug.as_ref() == TESSERA_AUDIENCE)
        || !permissions.allows(Permission::Verify)
    {
        Verifies::Nobody
    } else if matches!(instance, InstanceRole::Owner | InstanceRole::Admin) {
        Verifies::Instance
    } else {
        Verifies::Workspace
    }
}

/// What these scopes grant: what the catalogues have of them with what they imply, and the parts of
/// patterns. `None` when a name cannot be read.
fn granted(
    held: &[ScopeName],
    exact: &[String],
    [patterns, retired]: &[Vec<String>; 2],
) -> Option<Vec<ScopeName>> {
    let mut granted: Vec<ScopeName> = sorted(exact)?;
    grant_parts(&mut granted, held, &parse_all(patterns)?, retired);
    Some(granted)
}

/// Names, each once; `None` when one cannot be read.
fn sorted<T: std::str::FromStr + Ord>(names: &[String]) -> Option<Vec<T>> {
    let mut names: Vec<T> = parse_all(names)?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Adds the URIs that are a part of a pattern which a catalogue has. One that a catalogue has by
/// itself, but retired, is no part of anything.
fn grant_parts(
    granted: &mut Vec<ScopeName>,
    held: &[ScopeName],
    patterns: &[ScopeName],
    retired: &[String],
) {
    for name in held.iter().filter(|name| name.is_uri()) {
        if !granted.contains(name)
            && !retired.iter().any(|retired| retired == name.as_ref())
            && patterns.iter().any(|pattern| pattern.covers(name))
        {
            granted.push(name.clone());
        }
    }
}

/// The two columns of a limit; the schema has both or neither.
pub(super) fn rate_limit(
    limit: Option<i32>,
    window_s: Option<i32>,
) -> Result<Option<RateLimit>, ()> {
    let limit = limit.zip(window_s);
    limit
        .map(|(limit, window_s)| RateLimit::new(limit.into(), window_s.into()))
        .transpose()
        .map_err(drop)
}

/// A limit as its two columns have it.
pub(super) fn columns_of(rate_limit: Option<RateLimit>) -> (Option<i32>, Option<i32>) {
    // Within the bounds of a limit: always a number of the column's.
    let column = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    (rate_limit.map(|rate| column(rate.limit())), rate_limit.map(|rate| column(rate.window_s())))
}

pub(super) fn parse_all<T: std::str::FromStr>(texts: &[String]) -> Option<Vec<T>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}
