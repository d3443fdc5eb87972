//! The list of tokens, page by page.
//!
//! Pages are cut by keyset: a page begins after the last row of the one before, whatever was
//! inserted meanwhile, and the hundredth page costs what the first one does. Each order has an index
//! of its own, so each is a statement of its own; they differ in two clauses.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    ids::UserId,
    token::{Page, Token},
    token_query::{LIMIT_MAX, TokenQuery, TokenSort},
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, tokens::TokenRow};
use crate::access::Tenant;

/// Where a page begins: the sort key and the id of the row before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    #[serde(rename = "s")]
    sort: TokenSort,
    #[serde(
        rename = "t",
        with = "time::serde::rfc3339::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    time: Option<OffsetDateTime>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "i")]
    id: Uuid,
}

/// The cursor was not made by this list, or for another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadCursor;

impl Cursor {
    fn after(sort: TokenSort, token: &Token) -> Self {
        let (time, name) = match sort {
            TokenSort::Newest | TokenSort::Oldest => (Some(token.created_at), None),
            TokenSort::Expires => (token.expires_at, None),
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
            TokenSort::Expires => true,
            // PostgreSQL's text has no NUL.
            TokenSort::Name => cursor.name.as_ref().is_some_and(|name| !name.contains('\0')),
        };
        if cursor.sort == sort && fits { Ok(cursor) } else { Err(BadCursor) }
    }
}

/// One statement: what comes before, the clause that begins the page, the order.
macro_rules! page {
    ($begin:literal, $order:literal, $tenant:expr, $state:expr, $pattern:expr, $now:expr, $limit:expr, $key:expr, $id:expr, $own:expr) => {
        sqlx::query_as!(
            TokenRow,
            r#"SELECT t.id, t.num, w.slug AS workspace, t.name, t.description, t.scopes, t.enabled,
                      t.not_before, t.expires_at, t.ip_allow, t.hint, t.last_used_at, t.last_used_ip,
                      t.created_at, t.updated_at, u.id AS user_id, u.email AS user_email, u.name AS user_name,
                      c.id AS "creator_id?", c.email AS "creator_email?", c.name AS "creator_name?",
                      ARRAY(SELECT a.slug FROM token_audiences ta JOIN audiences a ON a.id = ta.audience_id
                             WHERE ta.token_id = t.id ORDER BY a.slug) AS "audiences!"
                 FROM tokens t
                 JOIN workspaces w ON w.id = t.workspace_id
                 JOIN users u ON u.id = t.user_id
                 LEFT JOIN users c ON c.id = t.created_by
                WHERE t.workspace_id = $1 AND t.deleted_at IS NULL
                  AND CASE $2
                        WHEN 'expired' THEN COALESCE(t.expires_at <= $4, false)
                        WHEN 'disabled' THEN NOT t.enabled AND COALESCE(t.expires_at > $4, true)
                        WHEN 'scheduled' THEN t.enabled AND t.not_before > $4
                        WHEN 'active' THEN t.enabled AND COALESCE(t.expires_at > $4, true)
                                           AND COALESCE(t.not_before <= $4, true)
                        ELSE true
                      END
                  AND ($3::text IS NULL OR t.name ILIKE $3 OR t.hint ILIKE $3 OR u.name ILIKE $3 OR u.email ILIKE $3)
                  AND ($8::uuid IS NULL OR t.user_id = $8)"#
                + $begin
                + " ORDER BY "
                + $order
                + " LIMIT $5",
            $tenant,
            $state,
            $pattern,
            $now,
            $limit,
            $key,
            $id,
            $own,
        )
    };
}

/// A page of a workspace's tokens; with `own`, of those alone that act as this user.
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
    // One more than asked for tells whether there is a next page.
    let rows = i64::from(limit) + 1;
    let own = own.map(|user| user.0);
    let (tenant, id) = (tenant.id().0, cursor.as_ref().map(|cursor| cursor.id));
    let state = query.state.map_or("", domain::token::TokenState::as_str);
    let pattern = pattern(&query.q);
    let pattern = pattern.as_deref();
    let time = cursor.as_ref().and_then(|cursor| cursor.time);
    let name = cursor.as_ref().and_then(|cursor| cursor.name.as_deref());
    let rows =
        match query.sort {
            TokenSort::Newest => {
                page!(
                    " AND ($7::uuid IS NULL OR (t.created_at, t.id) < ($6::timestamptz, $7))",
                    "t.created_at DESC, t.id DESC",
                    tenant,
                    state,
                    pattern,
                    now,
                    rows,
                    time,
                    id,
                    own
                )
                .fetch_all(connection)
                .await?
            }
            TokenSort::Oldest => {
                page!(
                    " AND ($7::uuid IS NULL OR (t.created_at, t.id) > ($6::timestamptz, $7))",
                    "t.created_at, t.id",
                    tenant,
                    state,
                    pattern,
                    now,
                    rows,
                    time,
                    id,
                    own
                )
                .fetch_all(connection)
                .await?
            }
            TokenSort::Name => {
                page!(
                    " AND ($7::uuid IS NULL OR (lower(t.name), t.id) > (lower($6::text), $7))",
                    "lower(t.name), t.id",
                    tenant,
                    state,
                    pattern,
                    now,
                    rows,
                    name,
                    id,
                    own
                )
                .fetch_all(connection)
                .await?
            }
            TokenSort::Expires => {
                page!(
            " AND ($7::uuid IS NULL OR (COALESCE(t.expires_at, 'infinity'::timestamptz), t.id)
                                     > (COALESCE($6::timestamptz, 'infinity'::timestamptz), $7))",
            "COALESCE(t.expires_at, 'infinity'::timestamptz), t.id",
            tenant, state, pattern, now, rows, time, id, own
        )
                .fetch_all(connection)
                .await?
            }
        };
    let mut items =
        rows.into_iter().map(|row| row.at(now)).collect::<Result<Vec<_>, StoreError>>()?;
    let more = items.len() > usize::from(limit);
    items.truncate(usize::from(limit));
    let next = items.last().filter(|_| more).map(|last| Cursor::after(query.sort, last).encode());
    Ok(Ok(Page { items, next }))
}

/// A `LIKE` pattern for "contains", its own wildcards made plain; `None` for an empty search.
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
    fn wildcards_of_a_search_are_plain_characters() {
        assert_eq!(pattern(" 50%_\\ ").as_deref(), Some("%50\\%\\_\\\\%"));
        assert_eq!(pattern("  "), None);
    }

    #[test]
    fn cursor_of_another_order_is_refused() {
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
