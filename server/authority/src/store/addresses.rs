//! The keys by which users' email addresses are compared and kept unique, whatever their Unicode
//! composition.
//!
//! Tessera folds addresses itself ([`domain::names::email_key`]). Rows written by version 0.1 have
//! no key. Tessera adds their keys at startup, before it creates a user, and in a background task
//! while servers of version 0.1 still run. If two addresses look the same, one of them stays
//! without a key.

use std::collections::HashSet;

use domain::{ids::UserId, names::email_key};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::store::locks;

/// A user from version 0.1 whose address looks like that of another user. Both are found only by
/// the exact spelling of their addresses, or by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressConflict {
    /// The user.
    pub user: UserId,
    /// The address. It may contain invisible characters.
    pub email: String,
    /// The user whose address looks the same.
    pub other: UserId,
}

/// Stores the keys of addresses that have none.
///
/// If several addresses share a key, an address that equals the key takes precedence, then that of
/// the oldest user.
pub(crate) async fn fold(connection: &mut PgConnection) -> Result<(), StoreError> {
    if unkeyed(connection).await?.is_empty() {
        return Ok(());
    }
    // Only one server at a time may store keys.
    locks::people(connection).await?;
    let mut users: Vec<(Uuid, String, bool)> = unkeyed(connection)
        .await?
        .into_iter()
        .map(|(id, email)| {
            let key = email_key(&email);
            let is_key = key == email;
            (id, key, is_key)
        })
        .collect();
    users.sort_by_key(|(_, _, is_key)| !is_key);
    let keys: Vec<String> = users.iter().map(|(_, key, _)| key.clone()).collect();
    let taken = sqlx::query_scalar!(
        r#"SELECT email_key AS "key!" FROM users WHERE email_key = ANY($1)"#,
        &keys,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut taken: HashSet<String> = taken.into_iter().collect();
    users.retain(|(_, key, _)| taken.insert(key.clone()));
    let (ids, keys): (Vec<Uuid>, Vec<String>) =
        users.into_iter().map(|(id, key, _)| (id, key)).unzip();
    sqlx::query!(
        "UPDATE users u SET email_key = folded.email_key
           FROM unnest($1::uuid[], $2::text[]) AS folded (id, email_key) WHERE u.id = folded.id",
        &ids,
        &keys,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the users whose address has no key, the oldest first.
async fn unkeyed(connection: &mut PgConnection) -> Result<Vec<(Uuid, String)>, StoreError> {
    let rows =
        sqlx::query!("SELECT id, email FROM users WHERE email_key IS NULL ORDER BY created_at, id")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.email)).collect())
}

/// Returns the users whose address looks like that of another user.
pub(crate) async fn conflicts(
    connection: &mut PgConnection,
) -> Result<Vec<AddressConflict>, StoreError> {
    let mut conflicts = Vec::new();
    for (user, email) in unkeyed(connection).await? {
        let other =
            sqlx::query_scalar!("SELECT id FROM users WHERE email_key = $1", email_key(&email))
                .fetch_optional(&mut *connection)
                .await?;
        conflicts.extend(other.map(|other| AddressConflict {
            user: UserId(user),
            email,
            other: UserId(other),
        }));
    }
    Ok(conflicts)
}
