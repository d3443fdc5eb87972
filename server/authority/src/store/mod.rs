//! All SQL of Tessera, as checked macros: one file a noun, private row structs, domain types out.
//!
//! Invariants:
//! - A query on the rows of a tenant takes a [`Tenant`](crate::access::Tenant).
//! - A write that must touch a row checks that it did.
//! - A constraint that callers can run into is mapped to an error by its name, in the service.
//! - Functions take a connection, so that a service decides what is one transaction.

mod audiences;
pub(crate) mod audit;
pub(crate) mod audit_chain;
pub(crate) mod audit_walk;
pub(crate) mod catalogues;
pub(crate) mod facts;
pub(crate) mod history;
pub(crate) mod idempotency;
pub(crate) mod imports;
pub(crate) mod instance;
pub(crate) mod members;
pub(crate) mod policies;
pub(crate) mod replicas;
pub(crate) mod revisions;
pub(crate) mod scope_uses;
pub(crate) mod secrets;
pub(crate) mod secrets_change;
pub(crate) mod sessions;
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

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use thiserror::Error;
use time::OffsetDateTime;

use crate::ServiceError;

pub(crate) use tokens_list::{count as count_tokens, list as list_tokens, pattern};

/// The migrations of this build, in order.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a request waits for a connection before it answers 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// What the database answers when it does not do as told.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be reached, or is shutting down.
    #[error("no connection")]
    Unavailable(#[source] sqlx::Error),
    /// A named constraint refused the write.
    #[error("the constraint {0} refused")]
    Constraint(String),
    /// A row holds what no version of Tessera writes.
    #[error("the column {column} of row {row} holds an unreadable value")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
    },
    /// Anything else.
    #[error("the query failed")]
    Query(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether this constraint refused.
    pub(crate) fn violates(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint(name) if name == constraint)
    }

    /// Whether the database was away, rather than at odds.
    pub(crate) const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether a value was refused, which would be refused again: SQLSTATE classes 22 and 23.
    pub(crate) fn is_of_data(&self) -> bool {
        match self {
            Self::Constraint(_) => true,
            Self::Query(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            }
            _ => false,
        }
    }

    /// The database was away, as somebody else found out.
    pub(crate) fn away(why: &str) -> Self {
        Self::Unavailable(sqlx::Error::Protocol(why.to_owned()))
    }

    pub(crate) fn corrupt(column: &'static str, row: impl std::fmt::Display) -> Self {
        Self::Corrupt { column, row: row.to_string() }
    }
}

/// Fails unless the statement touched one row: it was locked before, so it must be there.
fn touched_one(outcome: &sqlx::postgres::PgQueryResult) -> Result<(), StoreError> {
    match outcome.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Query(sqlx::Error::RowNotFound)),
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => {
                // SQLSTATE classes: 08 connection, 53 resources, 57P shutdown and start-up,
                // 25006 read-only (a standby).
                let code = database.code().unwrap_or_default();
                let away = code.starts_with("08")
                    || code.starts_with("53")
                    || code.starts_with("57P")
                    || code == "25006";
                match database.constraint() {
                    _ if away => Self::Unavailable(error),
                    Some(constraint) => Self::Constraint(constraint.to_owned()),
                    None => Self::Query(error),
                }
            }
            _ => Self::Query(error),
        }
    }
}

impl From<sqlx::Error> for ServiceError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// A pool for this URL. Connects when first used: a database that is away now may come later.
///
/// # Errors
/// `Internal` when the URL cannot be read.
pub fn connect(url: &str, max_connections: u32) -> Result<PgPool, ServiceError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| ServiceError::internal("the database URL cannot be read"))?
        .application_name("tessera");
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            // A server that was stopped amid a change must not hold its locks: nobody else could revoke.
            // Not an option of the connection, which poolers refuse.
            Box::pin(async move {
                sqlx::raw_sql("SET idle_in_transaction_session_timeout = '5s'")
                    .execute(connection)
                    .await
                    .map(drop)
            })
        })
        .connect_lazy_with(options))
}

/// Versions of the migrations that the database has.
pub(crate) async fn applied_migrations(
    connection: &mut PgConnection,
) -> Result<Vec<i64>, StoreError> {
    // Not a checked macro: the table is the migrator's, and is not there before the first one ran.
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

/// The database's clock.
pub(crate) async fn database_time(
    connection: &mut PgConnection,
) -> Result<OffsetDateTime, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(connection).await?)
}

/// The database's version, such as `15.7 (Debian 15.7-1)`.
pub(crate) async fn database_version(connection: &mut PgConnection) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT current_setting('server_version') AS "version!""#)
        .fetch_one(connection)
        .await?)
}
