//! Token records. The statements that change them are in `tokens_change`.

use std::net::IpAddr;

use domain::{
    catalogue::ScopeName,
    held::HeldScopes,
    ids::{AudienceId, TokenId, UserId},
    rate_limit::RateLimit,
    token::{Standing, Stop, Token, TokenState, UserSummary},
};
use sqlx::{PgConnection, types::Json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    StoreError, names, page,
    secrets::{columns_of, parse_all, rate_limit},
    tokens_change::StoppedBy,
};
use crate::kernel::Tenant;

/// A token to insert.
pub(crate) struct NewToken<'a> {
    pub(crate) id: TokenId,
    pub(crate) user: UserId,
    pub(crate) created_by: Option<UserId>,
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) enabled: bool,
    pub(crate) not_before: Option<OffsetDateTime>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// The lifetime that the token is given, by which each self-rotation renews it.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) ip_allow: &'a [String],
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) hint: &'a str,
    pub(crate) recoverable: bool,
    pub(crate) tags: &'a serde_json::Value,
    pub(crate) creation_key: Option<Uuid>,
    /// The token that creates it.
    pub(crate) parent: Option<TokenId>,
    /// The actor that disables it from the start, if any.
    pub(crate) disabled: Option<StoppedBy>,
}

/// A token's row, joined with the names that it refers to. Shared with the list.
pub(super) struct TokenRow {
    pub(super) id: Uuid,
    pub(super) num: i64,
    pub(super) workspace: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) enabled: bool,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) ip_allow: Vec<String>,
    pub(super) rate_limit: Option<i32>,
    pub(super) rate_window_s: Option<i32>,
    pub(super) hint: String,
    pub(super) recoverable: bool,
    pub(super) tags: serde_json::Value,
    pub(super) rotated_at: Option<OffsetDateTime>,
    pub(super) reused_at: Option<OffsetDateTime>,
    pub(super) older_until: Option<OffsetDateTime>,
    pub(super) older_hint: Option<String>,
    pub(super) last_used_at: Option<OffsetDateTime>,
    pub(super) last_used_ip: Option<String>,
    pub(super) last_used_agent: Option<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
    pub(super) version: i64,
    pub(super) user_id: Uuid,
    pub(super) user_email: String,
    pub(super) user_name: String,
    pub(super) parent_id: Option<Uuid>,
    pub(super) disabled_as: Option<String>,
    pub(super) disabled_id: Option<Uuid>,
    pub(super) disabled_email: Option<String>,
    pub(super) disabled_name: Option<String>,
    pub(super) ended_as: Option<String>,
    pub(super) ended_id: Option<Uuid>,
    pub(super) ended_email: Option<String>,
    pub(super) ended_name: Option<String>,
    pub(super) creator_id: Option<Uuid>,
    pub(super) creator_email: Option<String>,
    pub(super) creator_name: Option<String>,
    pub(super) grants: Option<Json<HeldScopes>>,
}

impl TokenRow {
    /// Returns the approximate size of the token in a response, in bytes. A response names each
    /// scope twice.
    pub(super) fn size(&self) -> usize {
        let scopes = self.grants.iter().flat_map(|grants| grants.0.pairs());
        let scopes: usize = scopes.map(|(_, scope)| 2 * (3 + scope.as_ref().len())).sum();
        1_000 + self.name.len() + self.description.len() + page::size(&self.tags) + scopes
    }

    /// Converts the row to a token, with its state at `now`.
    pub(super) fn at(self, now: OffsetDateTime) -> Result<Token, StoreError> {
        let corrupt = |column| StoreError::corrupt(column, self.id);
        // Another server's clock may be ahead. A token that expired by that clock stays expired.
        let now = now.max(self.updated_at);
        let state = TokenState::of(self.enabled, self.not_before, self.expires_at, now);
        // An older secret never works longer than its token, whatever its own row says.
        let grace_until = self
            .older_until
            .map(|end| self.expires_at.map_or(end, |token| token.min(end)))
            .filter(|end| *end > now);
        let grants = self.grants.map(|grants| grants.0).unwrap_or_default();
        let created_by = summary(self.creator_id, self.creator_email, self.creator_name);
        let disabler = summary(self.disabled_id, self.disabled_email, self.disabled_name);
        let ender = summary(self.ended_id, self.ended_email, self.ended_name);
        Ok(Token {
            id: self.id.into(),
            num: self.num,
            workspace: self.workspace.parse().map_err(|_| corrupt("workspaces.slug"))?,
            description: self.description.parse().map_err(|_| corrupt("tokens.description"))?,
            user: UserSummary {
                id: self.user_id.into(),
                email: self.user_email,
                name: self.user_name,
            },
            created_by,
            parent: self.parent_id.map(Into::into),
            audiences: grants.audiences().cloned().collect(),
            scopes: grants.scopes().into_iter().cloned().collect(),
            grants,
            enabled: self.enabled,
            disabled_by: stop(self.disabled_as.as_deref(), disabler).filter(|_| !self.enabled),
            ended_by: stop(self.ended_as.as_deref(), ender).filter(|_| self.expires_at.is_some()),
            active: state == TokenState::Active,
            state,
            hint: self.hint,
            recoverable: self.recoverable,
            not_before: self.not_before,
            expires_at: self.expires_at,
            ip_allow: parse_all(&self.ip_allow).ok_or_else(|| corrupt("tokens.ip_allow"))?,
            rate_limit: rate_limit(self.rate_limit, self.rate_window_s)
                .map_err(|()| corrupt("tokens.rate_limit"))?,
            tags: serde_json::from_value(self.tags).map_err(|_| corrupt("tokens.tags"))?,
            grace_until,
            older_hint: self.older_hint.filter(|_| grace_until.is_some()),
            rotated_at: self.rotated_at,
            reused_at: self.reused_at,
            last_used_at: self.last_used_at,
            last_used_ip: self
                .last_used_ip
                .map(|text| text.parse::<IpAddr>())
                .transpose()
                .map_err(|_| corrupt("tokens.last_used_ip"))?,
            last_used_agent: self.last_used_agent,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
            name: self.name,
        })
    }
}

pub(super) fn summary(
    id: Option<Uuid>,
    email: Option<String>,
    name: Option<String>,
) -> Option<UserSummary> {
    Some(UserSummary {
        id: id?.into(),
        email: email.unwrap_or_default(),
        name: name.unwrap_or_default(),
    })
}

fn stop(standing: Option<&str>, user: Option<UserSummary>) -> Option<Stop> {
    let standing = Standing::ALL.into_iter().find(|known| Some(known.as_str()) == standing)?;
    Some(Stop { user, standing })
}

/// Inserts a token, without its audiences and its secret. Returns `false` if the workspace already
/// has a token with this creation key. Waits for a transaction that is creating one.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    tenant: Tenant,
    token: &NewToken<'_>,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let (rate_limit, rate_window_s) = columns_of(token.rate_limit);
    let outcome = sqlx::query!(
        "INSERT INTO tokens (id, workspace_id, user_id, created_by, name, description, scopes, not_before,
                             expires_at, ip_allow, hint, recoverable, tags, creation_key, enabled, created_at, updated_at,
                             rate_limit, rate_window_s, parent_id, within_parent, disabled_by, disabled_as, lifetime_us,
                             name_key, disabled_by_token)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $17, $18, $19,
                 $19::uuid IS NOT NULL, $20, $21, $22, $23, $24)
         ON CONFLICT ON CONSTRAINT tokens_creation_key_unique DO NOTHING",
        token.id.0,
        tenant.id().0,
        token.user.0,
        token.created_by.map(|user| user.0),
        token.name,
        token.description,
        token.scopes,
        token.not_before,
        token.expires_at,
        token.ip_allow,
        token.hint,
        token.recoverable,
        token.tags,
        token.creation_key,
        token.enabled,
        now,
        rate_limit,
        rate_window_s,
        token.parent.map(|parent| parent.0),
        token.disabled.and_then(|by| by.user).map(|user| user.0),
        token.disabled.map(|by| by.standing.as_str()),
        micros(token.lifetime),
        names::fold(token.name),
        token.disabled.and_then(|by| by.token).map(|token| token.0),
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Converts a lifetime to its column, in microseconds. Returns `None` unless it is positive.
pub(super) fn micros(lifetime: Option<Duration>) -> Option<i64> {
    let lifetime = i64::try_from(lifetime?.whole_microseconds()).ok()?;
    (lifetime > 0).then_some(lifetime)
}

/// Binds a token to its audiences, with the scopes that it holds in each.
pub(crate) async fn insert_audiences(
    connection: &mut PgConnection,
    token: TokenId,
    grants: &[(AudienceId, Vec<ScopeName>)],
) -> Result<(), StoreError> {
    let audiences: Vec<Uuid> = grants.iter().map(|(audience, _)| audience.0).collect();
    let scopes: Vec<String> = grants.iter().map(|(_, scopes)| words(scopes)).collect();
    sqlx::query!(
        "INSERT INTO token_audiences (token_id, audience_id, scopes)
         SELECT $1, audience_id, string_to_array(scopes, ' ')
           FROM unnest($2::uuid[], $3::text[]) AS g (audience_id, scopes)",
        token.0,
        &audiences,
        &scopes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Joins scopes with spaces. A scope contains no space.
pub(super) fn words<'a>(scopes: impl IntoIterator<Item = &'a ScopeName>) -> String {
    scopes.into_iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" ")
}

/// Returns the token with this id, unless it was deleted.
pub(crate) async fn by_id(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: TokenId,
    now: OffsetDateTime,
) -> Result<Option<Token>, StoreError> {
    Ok(by_ids(connection, tenant, &[id.0], now).await?.pop())
}

/// Returns the tokens with these ids, except deleted ones, ordered by id.
pub(crate) async fn by_ids(
    connection: &mut PgConnection,
    tenant: Tenant,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Token>, StoreError> {
    let rows = sqlx::query_as!(
        TokenRow,
        r#"SELECT t.id, t.num, w.slug AS workspace, t.name, t.description, t.enabled,
                  t.not_before, t.expires_at, t.ip_allow, t.rate_limit, t.rate_window_s, t.hint, t.last_used_at, t.last_used_ip,
                  t.last_used_agent, t.tags, t.rotated_at, t.reused_at, t.version, t.parent_id,
                  -- The secret can be shown again only while a policy level allows it and none forbids it.
                  t.recoverable AND (SELECT COALESCE(bool_and(p.reveal = 'recoverable_allowed'), false) FROM policies p
                                      WHERE (p.workspace_id = t.workspace_id OR p.workspace_id IS NULL)
                                        AND p.reveal IS NOT NULL) AS "recoverable!",
                  t.disabled_as, db.id AS "disabled_id?", db.email AS "disabled_email?", db.name AS "disabled_name?",
                  t.ended_as, eb.id AS "ended_id?", eb.email AS "ended_email?", eb.name AS "ended_name?",
                  o.expires_at AS "older_until?", o.hint AS "older_hint?",
                  t.created_at, t.updated_at, u.id AS user_id, u.email AS user_email, u.name AS user_name,
                  c.id AS "creator_id?", c.email AS "creator_email?", c.name AS "creator_name?",
                  (SELECT json_object_agg(a.slug, CASE WHEN ta.scopes IS NOT NULL
                            -- <@ takes time proportional to the product of both lengths.
                            AND CASE WHEN cardinality(ta.scopes)::bigint * cardinality(t.scopes) <= 10000
                                     THEN ta.scopes <@ t.scopes
                                     ELSE NOT EXISTS (SELECT unnest(ta.scopes) EXCEPT SELECT unnest(t.scopes)) END
                       THEN ta.scopes
                                                       ELSE held_scopes(ta.scopes, t.scopes, t.id, ta.audience_id) END)
                     FROM token_audiences ta JOIN audiences a ON a.id = ta.audience_id
                    WHERE ta.token_id = t.id) AS "grants?: Json<HeldScopes>"
             FROM tokens t
             JOIN workspaces w ON w.id = t.workspace_id
             JOIN users u ON u.id = t.user_id
             LEFT JOIN users c ON c.id = t.created_by
             LEFT JOIN users db ON db.id = t.disabled_by
             LEFT JOIN users eb ON eb.id = t.ended_by
             LEFT JOIN LATERAL (SELECT s.expires_at, s.hint FROM token_secrets s
                                 WHERE s.token_id = t.id AND NOT s.current
                                 ORDER BY s.expires_at DESC LIMIT 1) o ON true
            WHERE t.workspace_id = $1 AND t.id = ANY($2) AND t.deleted_at IS NULL
            ORDER BY t.id"#,
        tenant.id().0,
        ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| row.at(now)).collect()
}

/// Returns the id of the token with this number, unless it was deleted. With `own`, considers only
/// tokens that act as this user.
pub(crate) async fn id_of_number(
    connection: &mut PgConnection,
    tenant: Tenant,
    own: Option<UserId>,
    number: i64,
) -> Result<Option<TokenId>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT id FROM tokens WHERE workspace_id = $1 AND num = $2 AND deleted_at IS NULL
                                 AND ($3::uuid IS NULL OR user_id = $3)",
        tenant.id().0,
        number,
        own.map(|user| user.0),
    )
    .fetch_optional(connection)
    .await?
    .map(TokenId))
}

/// Returns the token that was created with this key, deleted or not.
pub(crate) async fn by_creation_key(
    connection: &mut PgConnection,
    tenant: Tenant,
    creation_key: Uuid,
) -> Result<Option<TokenId>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT id FROM tokens WHERE workspace_id = $1 AND creation_key = $2",
        tenant.id().0,
        creation_key,
    )
    .fetch_optional(connection)
    .await?
    .map(TokenId))
}

/// Returns the number of tokens that count toward a limit: of the workspace, or of the whole
/// instance for `None`.
pub(crate) async fn count(
    connection: &mut PgConnection,
    tenant: Option<Tenant>,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM tokens
            WHERE deleted_at IS NULL AND ($1::uuid IS NULL OR workspace_id = $1)"#,
        tenant.map(|tenant| tenant.id().0),
    )
    .fetch_one(connection)
    .await?)
}

/// Checks whether a token of the workspace, other than `except`, has this name, ignoring case.
pub(crate) async fn name_is_taken(
    connection: &mut PgConnection,
    tenant: Tenant,
    name: &str,
    except: Option<TokenId>,
) -> Result<bool, StoreError> {
    Ok(!names::taken(connection, tenant, &[name], except).await?.is_empty())
}
