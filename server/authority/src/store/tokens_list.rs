//! The list of tokens, page by page.
//!
//! Pages use keyset pagination: a page begins after the last row of the previous one, regardless of
//! rows inserted in between, and the hundredth page costs as much as the first. Each order has its
//! own index, so each has its own statement. The statements differ in two clauses.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    held::HeldScopes,
    ids::UserId,
    names::WrittenEmail,
    token::{Page, Token, TokenState},
    token_query::{LIMIT_MAX, TokenQuery, TokenSort},
};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, page, tokens::TokenRow};
use crate::kernel::Tenant;

/// The maximum number of tokens that count as few: more than the longest page, and still fast
/// to read.
const FEW: i64 = 256;

/// The position after which a page begins: the sort key and the id of the last row of the
/// previous page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    #[serde(rename = "s")]
    sort: TokenSort,
    #[serde(
        rename = "t",
        with = "domain::moments::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    time: Option<OffsetDateTime>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "i")]
    id: Uuid,
}

/// Returns the number of undeleted tokens that act as both of these users, as far as they
/// are given.
pub(crate) async fn count(
    connection: &mut PgConnection,
    tenant: Tenant,
    [own, user]: [Option<UserId>; 2],
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM tokens
            WHERE workspace_id = $1 AND deleted_at IS NULL
              AND ($2::uuid IS NULL OR user_id = $2) AND ($3::uuid IS NULL OR user_id = $3)"#,
        tenant.id().0,
        own.map(|id| id.0),
        user.map(|id| id.0),
    )
    .fetch_one(connection)
    .await?)
}

/// The cursor is malformed, or belongs to another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadCursor;

impl Cursor {
    fn after(sort: TokenSort, token: &Token) -> Self {
        let (time, name) = match sort {
            TokenSort::Newest | TokenSort::Oldest => (Some(token.created_at), None),
            TokenSort::Expires => (token.expires_at, None),
            TokenSort::LastUsed => (token.last_used_at, None),
            TokenSort::Name => (None, Some(token.name.clone())),
        };
        Self { sort, time, name, id: token.id.0 }
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str, sort: TokenSort) -> Result<Self, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| BadCursor)?;
        let fits = match sort {
            TokenSort::Newest | TokenSort::Oldest => cursor.time.is_some(),
            TokenSort::Expires | TokenSort::LastUsed => true,
            // PostgreSQL's text type cannot store NUL.
            TokenSort::Name => cursor.name.as_ref().is_some_and(|name| !name.contains('\0')),
        };
        if cursor.sort == sort && fits { Ok(cursor) } else { Err(BadCursor) }
    }
}

/// The filters of a page, apart from its position.
struct Wanted<'a> {
    tenant: Uuid,
    state: &'static str,
    pattern: Option<String>,
    now: OffsetDateTime,
    rows: i64,
    owner: Option<Uuid>,
    audience: Option<Uuid>,
    /// With this user, only tokens that act as it are visible.
    own: Option<Uuid>,
    /// A short list of ids that contains all tokens of the page, or `None` if there is none.
    few: Option<Vec<Uuid>>,
    query: &'a TokenQuery,
}

/// One statement, from its audience clause, the clause at which the page begins, and the order.
macro_rules! page {
    ($audience:literal, $begin:literal, $order:literal, $wanted:expr, $key:expr, $id:expr) => {
        sqlx::query_as!(
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
                WHERE t.workspace_id = $1 AND t.deleted_at IS NULL
                  AND CASE $2
                        WHEN 'expired' THEN COALESCE(t.expires_at, 'infinity'::timestamptz) <= $4
                        WHEN 'disabled' THEN NOT t.enabled AND COALESCE(t.expires_at, 'infinity'::timestamptz) > $4
                        WHEN 'scheduled' THEN t.enabled AND t.not_before > $4
                        WHEN 'active' THEN t.enabled AND COALESCE(t.expires_at, 'infinity'::timestamptz) > $4
                                           AND COALESCE(t.not_before <= $4, true)
                        ELSE true
                      END
                  AND ($3::text IS NULL OR lower(t.name) LIKE lower($3) OR lower(t.hint) LIKE lower($3)
                       OR t.user_id IN (SELECT s.id FROM users s WHERE lower(s.name) LIKE lower($3) OR s.email LIKE lower($3)))"#
                + r#" AND ($8::timestamptz IS NULL OR t.created_at < $8 AND COALESCE(t.last_used_at, '-infinity'::timestamptz) < $8)
                  AND (NOT $9::boolean OR COALESCE(t.last_used_at, '-infinity'::timestamptz) = '-infinity'::timestamptz)
                  AND ($10::timestamptz IS NULL OR COALESCE(t.expires_at, 'infinity'::timestamptz) < $10)
                  AND ($11::uuid IS NULL OR t.user_id = $11)
                  AND ($13::text IS NULL
                       OR t.scopes @> ARRAY[$13]
                          AND EXISTS (SELECT FROM token_audiences ta
                                       WHERE ta.token_id = t.id AND ta.audience_id = COALESCE($12::uuid, ta.audience_id)
                                         AND CASE WHEN ta.scopes IS NOT NULL
                            -- <@ takes time proportional to the product of both lengths.
                            AND CASE WHEN cardinality(ta.scopes)::bigint * cardinality(t.scopes) <= 10000
                                     THEN ta.scopes <@ t.scopes
                                     ELSE NOT EXISTS (SELECT unnest(ta.scopes) EXCEPT SELECT unnest(t.scopes)) END
                       THEN ta.scopes
                                                  ELSE held_scopes(ta.scopes, t.scopes, t.id, ta.audience_id)
                                             END @> ARRAY[$13]))
                  AND ($14::uuid IS NULL OR t.user_id = $14)
                  AND ($15::uuid[] IS NULL OR t.id = ANY($15))"#
                + $audience
                + $begin
                + " ORDER BY "
                + $order
                + " LIMIT $5",
            $wanted.tenant,
            $wanted.state,
            $wanted.pattern,
            $wanted.now,
            $wanted.rows,
            $key,
            $id,
            $wanted.query.unused_since,
            $wanted.query.never_used,
            $wanted.query.expires_before,
            $wanted.owner,
            $wanted.audience,
            $wanted.query.scope,
            $wanted.own,
            $wanted.few.as_deref(),
        )
    };
}

/// The rows of a page. The audience filter is chosen here and not in the statement, because the
/// planner can start from the few tokens of an audience only if the clause is unconditional.
macro_rules! rows {
    ($begin:literal, $order:literal, $wanted:expr, $key:expr, $id:expr, $connection:expr) => {
        if $wanted.audience.is_some() {
            page!(
                " AND EXISTS (SELECT FROM token_audiences ta WHERE ta.token_id = t.id AND ta.audience_id = $12::uuid)",
                $begin, $order, $wanted, $key, $id
            )
            .fetch($connection)
        } else {
            page!(" AND $12::uuid IS NULL", $begin, $order, $wanted, $key, $id).fetch($connection)
        }
    };
}

/// Returns a page of a workspace's tokens. With `own`, returns only tokens that act as this user.
pub(crate) async fn list(
    connection: &mut PgConnection,
    tenant: Tenant,
    own: Option<UserId>,
    query: &TokenQuery,
    now: OffsetDateTime,
) -> Result<Result<Page<Token>, BadCursor>, StoreError> {
    let cursor = match query.cursor.as_deref().map(|text| Cursor::decode(text, query.sort)) {
        Some(Err(bad)) => return Ok(Err(bad)),
        Some(Ok(cursor)) => Some(cursor),
        None => None,
    };
    let limit = query.limit.clamp(1, LIMIT_MAX);
    let mut transaction = connection.begin().await?;
    // A generic plan, which does not depend on the filters that are set, reads the whole workspace.
    sqlx::query!("SET LOCAL plan_cache_mode = force_custom_plan")
        .execute(&mut *transaction)
        .await?;
    // No list takes this long. A statement that does must not occupy its connection any longer.
    sqlx::query!("SET LOCAL statement_timeout = '10s'").execute(&mut *transaction).await?;
    let wanted = Wanted {
        tenant: tenant.id().0,
        state: query.state.map_or("", domain::token::TokenState::as_str),
        pattern: pattern(&query.q),
        now,
        // One extra row shows whether there is a next page.
        rows: i64::from(limit) + 1,
        owner: match query.owner.as_deref() {
            Some(owner) => Some(user(&mut transaction, owner).await?),
            None => None,
        },
        audience: match query.audience.as_deref() {
            Some(slug) => Some(audience(&mut transaction, slug).await?),
            None => None,
        },
        own: own.map(|user| user.0),
        few: few(&mut transaction, tenant, query, now).await?,
        query,
    };
    let id = cursor.as_ref().map(|cursor| cursor.id);
    let time = cursor.as_ref().and_then(|cursor| cursor.time);
    let name = cursor.as_ref().and_then(|cursor| cursor.name.as_deref());
    let rows = match query.sort {
        TokenSort::Newest => {
            rows!(
                " AND ($7::uuid IS NULL OR (t.created_at, t.id) < ($6::timestamptz, $7))",
                "t.created_at DESC, t.id DESC",
                wanted,
                time,
                id,
                &mut *transaction
            )
        }
        TokenSort::Oldest => {
            rows!(
                " AND ($7::uuid IS NULL OR (t.created_at, t.id) > ($6::timestamptz, $7))",
                "t.created_at, t.id",
                wanted,
                time,
                id,
                &mut *transaction
            )
        }
        TokenSort::Name => {
            rows!(
                " AND ($7::uuid IS NULL OR (lower(t.name), t.id) > (lower($6::text), $7))",
                "lower(t.name), t.id",
                wanted,
                name,
                id,
                &mut *transaction
            )
        }
        TokenSort::Expires => {
            rows!(
                " AND ($7::uuid IS NULL OR (COALESCE(t.expires_at, 'infinity'::timestamptz), t.id)
                                         > (COALESCE($6::timestamptz, 'infinity'::timestamptz), $7))",
                "COALESCE(t.expires_at, 'infinity'::timestamptz), t.id",
                wanted,
                time,
                id,
                &mut *transaction
            )
        }
        TokenSort::LastUsed => {
            rows!(
                " AND ($7::uuid IS NULL OR (COALESCE(t.last_used_at, '-infinity'::timestamptz), t.id)
                                         > (COALESCE($6::timestamptz, '-infinity'::timestamptz), $7))",
                "COALESCE(t.last_used_at, '-infinity'::timestamptz), t.id",
                wanted,
                time,
                id,
                &mut *transaction
            )
        }
    };
    let (rows, more) = page::read(rows, usize::from(limit), TokenRow::size).await?;
    transaction.commit().await?;
    let items = rows.into_iter().map(|row| row.at(now)).collect::<Result<Vec<_>, StoreError>>()?;
    let next = items.last().filter(|_| more).map(|last| Cursor::after(query.sort, last).encode());
    Ok(Ok(Page { items, next }))
}

/// Returns the tokens that a filter with its own index finds, if they are few.
///
/// If a filter matches many tokens, it is best to scan the index of the page's order. If it matches
/// few, it is best to find them by the filter's index and then sort them. The planner has to guess,
/// and a wrong guess reads a million rows to return thirty. Reading slightly more than a page from
/// the filter's index costs next to nothing and avoids the guess.
async fn few(
    connection: &mut PgConnection,
    tenant: Tenant,
    query: &TokenQuery,
    now: OffsetDateTime,
) -> Result<Option<Vec<Uuid>>, StoreError> {
    if let Some(pattern) = pattern(&query.q)
        && let Some(few) = few_of_text(&mut *connection, tenant, &pattern).await?
    {
        return Ok(Some(few));
    }
    let ended = (query.state == Some(TokenState::Expired)).then_some(now);
    let expires_before = [query.expires_before, ended].into_iter().flatten().min();
    // Expired tokens come first in the index. Skip them if none of them are wanted.
    let living = matches!(query.state, Some(TokenState::Active | TokenState::Disabled));
    let expires_after = living.then_some(now);
    if let Some(before) = query.unused_since {
        let found = sqlx::query_scalar!(
            "SELECT id FROM tokens
              WHERE workspace_id = $1 AND deleted_at IS NULL
                AND COALESCE(last_used_at, '-infinity'::timestamptz) < $2
              ORDER BY COALESCE(last_used_at, '-infinity'::timestamptz), id LIMIT $3",
            tenant.id().0,
            before,
            FEW + 1,
        );
        if let Some(few) = if_few(found.fetch_all(&mut *connection).await?) {
            return Ok(Some(few));
        }
    }
    if let Some(before) = expires_before {
        // Includes tokens that expire exactly at this time, because they count as expired. The page
        // itself omits them if only earlier expiries are wanted.
        let found = sqlx::query_scalar!(
            "SELECT id FROM tokens
              WHERE workspace_id = $1 AND deleted_at IS NULL
                AND COALESCE(expires_at, 'infinity'::timestamptz) <= $2
                AND COALESCE(expires_at, 'infinity'::timestamptz) > COALESCE($4, '-infinity'::timestamptz)
              ORDER BY COALESCE(expires_at, 'infinity'::timestamptz), id LIMIT $3",
            tenant.id().0,
            before,
            FEW + 1,
            expires_after,
        );
        if let Some(few) = if_few(found.fetch_all(&mut *connection).await?) {
            return Ok(Some(few));
        }
    }
    if let Some(scope) = &query.scope {
        let found = sqlx::query_scalar!(
            "SELECT id FROM tokens
              WHERE workspace_id = $1 AND deleted_at IS NULL AND scopes @> ARRAY[$2::text] LIMIT $3",
            tenant.id().0,
            scope,
            FEW + 1,
        );
        return Ok(if_few(found.fetch_all(&mut *connection).await?));
    }
    Ok(None)
}

/// Returns the tokens whose name, hint or user contains this text, if they are few. With few users,
/// trigram indexes, where they exist, can answer all conditions.
async fn few_of_text(
    connection: &mut PgConnection,
    tenant: Tenant,
    pattern: &str,
) -> Result<Option<Vec<Uuid>>, StoreError> {
    let users = sqlx::query_scalar!(
        "SELECT id FROM users WHERE lower(name) LIKE lower($1) OR email LIKE lower($1) LIMIT $2",
        pattern,
        FEW + 1,
    );
    let Some(users) = if_few(users.fetch_all(&mut *connection).await?) else { return Ok(None) };
    let found = sqlx::query_scalar!(
        "SELECT id FROM tokens
          WHERE workspace_id = $1 AND deleted_at IS NULL
            AND (lower(name) LIKE lower($2) OR lower(hint) LIKE lower($2) OR user_id = ANY($3))
          LIMIT $4",
        tenant.id().0,
        pattern,
        &users,
        FEW + 1,
    );
    Ok(if_few(found.fetch_all(connection).await?))
}

fn if_few(found: Vec<Uuid>) -> Option<Vec<Uuid>> {
    (i64::try_from(found.len()).ok()? <= FEW).then_some(found)
}

/// Returns the id of a user by address or id. For an unknown address, returns the nil id, which no
/// user has.
async fn user(connection: &mut PgConnection, text: &str) -> Result<Uuid, StoreError> {
    if let Ok(id) = Uuid::try_parse(text.trim()) {
        return Ok(id);
    }
    let Some(written) = WrittenEmail::read(text) else { return Ok(Uuid::nil()) };
    let id = sqlx::query_scalar!(
        "SELECT id FROM users WHERE email = $1 OR email_key = $2 ORDER BY (email = $1) DESC LIMIT 1",
        written.exact,
        written.email.as_ref().map(AsRef::as_ref),
    );
    Ok(id.fetch_optional(connection).await?.unwrap_or_default())
}

/// Returns the id of an audience in the same way. The lookup comes first, so that the planner can
/// estimate the number of rows from the id.
async fn audience(connection: &mut PgConnection, slug: &str) -> Result<Uuid, StoreError> {
    let id = sqlx::query_scalar!("SELECT id FROM audiences WHERE slug = $1", slug);
    Ok(id.fetch_optional(connection).await?.unwrap_or_default())
}

/// Returns a `LIKE` pattern for "contains", with the wildcards in the text escaped, or `None` for
/// an empty search.
pub(crate) fn pattern(search: &str) -> Option<String> {
    let search = search.trim();
    if search.is_empty() {
        return None;
    }
    let mut pattern = String::from("%");
    for character in search.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    Some(pattern)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn search_wildcards_are_escaped() {
        assert_eq!(pattern(" 50%_\\ ").as_deref(), Some("%50\\%\\_\\\\%"));
        assert_eq!(pattern("  "), None);
    }

    #[test]
    fn cursor_of_another_sort_order_is_refused() {
        let cursor =
            Cursor { sort: TokenSort::Name, time: None, name: Some("a".into()), id: Uuid::nil() };
        assert_eq!(Cursor::decode(&cursor.encode(), TokenSort::Name), Ok(cursor.clone()));
        assert_eq!(Cursor::decode(&cursor.encode(), TokenSort::Newest), Err(BadCursor));
    }

    proptest! {
        #[test]
        fn decoding_any_cursor_never_panics(text in any::<String>()) {
            let _ = Cursor::decode(&text, TokenSort::Name);
        }
    }
}
