//! All of Tessera's SQL, as checked macros. Each noun has its own file. Row structs are private,
//! and functions return domain types.
//!
//! Invariants:
//! - Queries on a tenant's rows take a `Tenant`.
//! - Writes that must affect a row check that they did.
//! - Services map each constraint that a caller can violate to an error by the constraint's name.
//! - Functions take a connection, so that services decide the extent of transactions.

pub mod addresses;
mod audiences;
pub(crate) mod audit;
pub(crate) mod audit_chain;
pub(crate) mod audit_walk;
pub(crate) mod callers;
pub(crate) mod catalogues;
mod connection;
pub(crate) mod database;
mod database_url;
pub(crate) mod descendants;
pub(crate) mod facts;
pub(crate) mod history;
pub(crate) mod idempotency;
pub(crate) mod imports;
pub(crate) mod instance;
pub(crate) mod invitations;
pub(crate) mod invitations_open;
pub(crate) mod locks;
pub(crate) mod members;
pub(crate) mod names;
pub(crate) mod old_log;
pub(crate) mod page;
pub mod passwords;
mod patience;
pub(crate) mod person_stops;
pub(crate) mod policies;
pub(crate) mod replicas;
pub(crate) mod revisions;
mod roles;
pub(crate) mod scope_uses;
mod secret_graph;
pub mod secret_holders;
pub(crate) mod secret_stops;
pub(crate) mod secrets;
pub(crate) mod secrets_change;
pub(crate) mod sessions;
pub(crate) mod stops;
pub(crate) mod throttles;
pub(crate) mod tokens;
pub(crate) mod tokens_change;
mod tokens_list;
pub(crate) mod unread;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod workspaces;

#[cfg(test)]
mod constraints;

use std::time::Duration;

use sqlx::{PgConnection, migrate::Migrator};
use time::OffsetDateTime;

pub use crate::kernel::StoreError;

pub(crate) use connection::{BEGIN, configure, open, open_for_migrations, open_for_verifications};
pub use connection::{SLOW, UrlError, check_url, connect};
pub use database::DatabaseProblem;
pub use database_url::{is_password, shows_value};
pub use roles::{migrate_as_owner, prepare_roles};
pub(crate) use tokens_list::{count as count_tokens, list as list_tokens, pattern};

/// The migrations of this build, in order.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Fails unless the statement affected exactly one row. The caller locked the row, so it must
/// exist.
fn touched_one(outcome: &sqlx::postgres::PgQueryResult) -> Result<(), StoreError> {
    match outcome.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Query(sqlx::Error::RowNotFound)),
    }
}

/// Returns the versions of the migrations that were applied to the database.
pub(crate) async fn applied_migrations(
    connection: &mut PgConnection,
) -> Result<Vec<i64>, StoreError> {
    // Not a checked macro, because the migrator creates the table when it runs for the first time.
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
        .fetch_all(connection)
        .await?)
}

/// Limits the time that statements of the current transaction wait for a lock to one second.
pub(crate) async fn wait_briefly(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SET LOCAL lock_timeout = '1s'").execute(connection).await?;
    Ok(())
}

/// Limits the duration of the statements of the current transaction.
pub(crate) async fn limit_statements(
    connection: &mut PgConnection,
    limit: Duration,
) -> Result<(), StoreError> {
    // 0 would disable the limit.
    let limit = limit.as_millis().max(1).to_string();
    sqlx::query!("SELECT set_config('statement_timeout', $1, true)", limit)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Limits the time that statements of the connection wait for a lock to one second.
///
/// When the follower abandons a connection, the statement on it continues to run. Without the limit
/// it could wait for a lock that the follower's next attempt holds.
pub(crate) async fn wait_in_short(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::raw_sql("SET lock_timeout = '1s'").execute(connection).await?;
    Ok(())
}

/// Returns the time of the database's clock.
pub(crate) async fn database_time(
    connection: &mut PgConnection,
) -> Result<OffsetDateTime, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(connection).await?)
}

/// Returns the database's version, such as `15.7 (Debian 15.7-1)`.
pub(crate) async fn database_version(connection: &mut PgConnection) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT current_setting('server_version') AS "version!""#)
        .fetch_one(connection)
        .await?)
}
