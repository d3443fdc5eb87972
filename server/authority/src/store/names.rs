//! Case-insensitive comparison of token names, for policies that require unique names.
//!
//! Tessera folds names itself, because `lower()` depends on the database's locale. Rows written by
//! version 0.1 have no key: their names are folded for each comparison until a background task
//! stores their keys.

use std::collections::HashSet;

use domain::ids::TokenId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::kernel::Tenant;

/// Folds a name to its key: names with equal keys count as the same name.
///
/// Converting to upper case first turns `ß` into `ss` and a final sigma into an ordinary sigma.
pub(crate) fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Returns the keys of those of these names that other tokens of the workspace already have.
/// The token `except` is ignored.
pub(crate) async fn taken(
    connection: &mut PgConnection,
    tenant: Tenant,
    names: &[&str],
    except: Option<TokenId>,
) -> Result<HashSet<String>, StoreError> {
    let wanted: HashSet<String> = names.iter().map(|name| fold(name)).collect();
    let keys: Vec<String> = wanted.iter().cloned().collect();
    let except = except.map(|token| token.0);
    let known = sqlx::query_scalar!(
        r#"SELECT DISTINCT name_key AS "key!" FROM tokens
            WHERE workspace_id = $1 AND name_key = ANY($2) AND deleted_at IS NULL AND ($3::uuid IS NULL OR id <> $3)"#,
        tenant.id().0,
        &keys,
        except,
    )
    .fetch_all(&mut *connection)
    .await?;
    let unread = sqlx::query_scalar!(
        "SELECT name FROM tokens
          WHERE workspace_id = $1 AND name_key IS NULL AND deleted_at IS NULL AND ($2::uuid IS NULL OR id <> $2)",
        tenant.id().0,
        except,
    )
    .fetch_all(connection)
    .await?;
    let unread = unread.iter().map(|name| fold(name)).filter(|key| wanted.contains(key));
    Ok(known.into_iter().chain(unread).collect())
}

/// Stores the keys of at most `limit` names that have none, and returns how many it stored.
/// Skips tokens that other transactions have locked.
pub(crate) async fn fold_some(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<usize, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, name FROM tokens WHERE name_key IS NULL AND deleted_at IS NULL
          ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED",
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let (ids, keys): (Vec<Uuid>, Vec<String>) =
        rows.iter().map(|row| (row.id, fold(&row.name))).unzip();
    sqlx::query!(
        "UPDATE tokens t SET name_key = folded.name_key
           FROM unnest($1::uuid[], $2::text[]) AS folded (id, name_key) WHERE t.id = folded.id",
        &ids,
        &keys,
    )
    .execute(connection)
    .await?;
    Ok(ids.len())
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn names_that_differ_only_in_case_are_equal() {
        for (one, other) in [
            ("Deploy Bot", "DEPLOY BOT"),
            ("Ärger", "ÄRGER"),
            ("TITLE", "title"),
            ("straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("Ключ", "КЛЮЧ"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
        assert_ne!(fold("a"), fold("ä"));
    }
}
