//! The database as a whole: checks whether Tessera can work in it, and migrates its schema.
//!
//! A migration runs in a transaction and waits only briefly for a lock. An index of a large table
//! gets a migration of its own that does not block writes to the table: a file that begins with
//! `-- no-transaction` and has one statement, `CREATE INDEX CONCURRENTLY IF NOT EXISTS …`. No
//! session waits for it, and it waits for locks as long as necessary.

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _,
    migrate::{Migrate as _, MigrateError, Migration},
    postgres::PgConnectOptions,
};
use thiserror::Error;

use super::{
    MIGRATIONS, StoreError, applied_migrations, connection, open_for_migrations, patience,
};
use crate::ServiceError;

/// The reason why Tessera cannot work in this database until an operator changes it. Each message
/// names the remedy.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DatabaseProblem {
    /// The database's encoding is not UTF-8. Names may contain characters that it lacks.
    #[error(
        "the database's encoding is {0}, but Tessera needs UTF8; create another database with: CREATE DATABASE tessera ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0"
    )]
    Encoding(String),
    /// The role or the database makes every transaction read-only.
    #[error(
        "default_transaction_read_only is on for this role or database; turn it off with: ALTER DATABASE … SET default_transaction_read_only = off (or ALTER ROLE …)"
    )]
    ReadOnly,
    /// The tables are in a schema other than `public`, the only one that Tessera uses.
    #[error(
        "Tessera's tables are in the schema {0}, but Tessera uses the schema public; move them with: ALTER TABLE {0}.… SET SCHEMA public"
    )]
    OtherSchema(String),
    /// A pooler assigns another connection to each transaction or statement.
    #[error(
        "a pooler assigns a different connection to each transaction, but Tessera needs dedicated connections: set pool_mode = session for this database, or connect directly to PostgreSQL"
    )]
    Pooler,
    /// The role may not change the schema, which is older than this build.
    #[error(
        "{pending} migrations are pending, but this role may not run them: name the owner of the tables in migration_database_url, or allow this role to run them: GRANT CREATE ON SCHEMA public TO …"
    )]
    MayNotMigrate {
        /// The number of pending migrations.
        pending: usize,
    },
    /// One of Tessera's tables belongs to a role other than the one that runs migrations.
    #[error(
        "the table {table} belongs to the role {owner}, but the role of migration_database_url must own Tessera's tables; as a superuser, run: ALTER TABLE {table} OWNER TO …"
    )]
    NotOwner {
        /// The table.
        table: String,
        /// Its owner.
        owner: String,
    },
}

impl From<DatabaseProblem> for ServiceError {
    fn from(problem: DatabaseProblem) -> Self {
        Self::internal(problem)
    }
}

/// Checks for problems that waiting cannot solve.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<(), ServiceError> {
    let found = sqlx::query!(
        r#"SELECT current_setting('server_encoding') AS "encoding!",
                  current_setting('default_transaction_read_only') = 'on' AS "read_only!",
                  to_regclass('public._sqlx_migrations') IS NULL AS "fresh!",
                  (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relname = 'token_secrets' AND c.relkind = 'r' AND n.nspname <> 'public'
                   LIMIT 1) AS elsewhere"#
    )
    .fetch_one(connection)
    .await?;
    if found.encoding != "UTF8" {
        return Err(DatabaseProblem::Encoding(found.encoding).into());
    }
    if found.read_only {
        return Err(DatabaseProblem::ReadOnly.into());
    }
    match found.elsewhere {
        Some(schema) if found.fresh => Err(DatabaseProblem::OtherSchema(schema).into()),
        _ => Ok(()),
    }
}

/// How often the two connections are compared.
const COMPARED: usize = 3;

/// Checks for a pooler that does not keep a connection for each client. Prepared statements, locks
/// and notifications belong to connections.
///
/// Such a pooler assigns to one client the connection that another has just released or, if it
/// rotates its connections, a different one each time. Each client queries while the other has no
/// transaction open, so that a pooler with a single connection can serve both.
pub(crate) async fn check_pooler(options: &PgConnectOptions) -> Result<(), ServiceError> {
    let mut one = connection::open(options).await?;
    let mut two = connection::open(options).await?;
    for _ in 0..COMPARED {
        let before = backend(&mut two).await?;
        sqlx::raw_sql("BEGIN").execute(&mut one).await.map_err(of_pooler)?;
        let other = backend(&mut one).await?;
        sqlx::raw_sql("COMMIT").execute(&mut one).await?;
        if other == before || backend(&mut two).await? != before {
            return Err(DatabaseProblem::Pooler.into());
        }
    }
    let _ = one.close().await;
    let _ = two.close().await;
    Ok(())
}

/// Returns the backend's process id, without a prepared statement, which a pooler may lose.
async fn backend(connection: &mut PgConnection) -> Result<i32, StoreError> {
    Ok(sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)?)
}

/// Detects a pooler that assigns a connection to each statement: it refuses transactions.
fn of_pooler(error: sqlx::Error) -> ServiceError {
    match &error {
        sqlx::Error::Database(database) if database.message().contains("pooling mode") => {
            DatabaseProblem::Pooler.into()
        }
        _ => error.into(),
    }
}

/// Runs the pending migrations.
pub(crate) async fn migrate(options: &PgConnectOptions) -> Result<(), ServiceError> {
    let mut connection = open_for_migrations(options).await?;
    // Check first, so that nothing is created in a database with an unsupported encoding.
    let checked = check(&mut connection).await;
    let pending = pending(&mut connection).await;
    let _ = connection.close().await;
    checked?;
    let attempt = |mut connection: PgConnection| async move {
        let outcome = run_migrations(&mut connection).await;
        let _ = connection.close().await;
        outcome
    };
    patience::until_unlocked(options, attempt)
        .await
        .map_err(|error| migrate_error(error, pending.unwrap_or_default()))
}

/// Runs the migrations group by group: consecutive ones that run in transactions, or consecutive
/// ones that don't.
async fn run_migrations(connection: &mut PgConnection) -> Result<(), MigrateError> {
    // Hold this lock until the connection closes: it keeps `drop_left_over` from dropping an index
    // that another server is building.
    connection.lock().await?;
    let all: Vec<&Migration> = MIGRATIONS.iter().collect();
    for part in all.chunk_by(|one, next| one.no_tx == next.no_tx) {
        let Some(last) = part.last() else { continue };
        if last.no_tx {
            sqlx::raw_sql("SET lock_timeout = 0").execute(&mut *connection).await?;
            drop_left_over(connection, part).await?;
        } else {
            sqlx::raw_sql("SET lock_timeout = '1s'").execute(&mut *connection).await?;
        }
        MIGRATIONS.run_direct(Some(last.version), connection, false).await?;
    }
    Ok(())
}

/// Drops the indexes of pending migrations that were interrupted. PostgreSQL keeps such indexes as
/// invalid and does not use them.
async fn drop_left_over(
    connection: &mut PgConnection,
    migrations: &[&Migration],
) -> Result<(), MigrateError> {
    let applied = connection.list_applied_migrations(&MIGRATIONS.table_name).await?;
    let is_pending = |one: &&&Migration| applied.iter().all(|made| made.version != one.version);
    let pending = migrations.iter().filter(is_pending);
    let names: Vec<String> =
        pending.filter_map(|migration| index_of(migration)).map(ToOwned::to_owned).collect();
    let statements = sqlx::query_scalar!(
        r#"SELECT format('DROP INDEX CONCURRENTLY %s', i.indexrelid::regclass) AS "sql!"
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY($1) AND NOT i.indisvalid"#,
        &names,
    )
    .fetch_all(&mut *connection)
    .await?;
    for sql in statements {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Returns the name of the index that a migration without a transaction creates.
fn index_of(migration: &Migration) -> Option<&str> {
    let (_, rest) =
        migration.sql.as_str().split_once("\nCREATE INDEX CONCURRENTLY IF NOT EXISTS ")?;
    rest.split_once(" ON ").map(|(name, _)| name)
}

pub(super) async fn pending(connection: &mut PgConnection) -> Result<usize, StoreError> {
    let applied = applied_migrations(connection).await?;
    Ok(MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count())
}

fn migrate_error(error: MigrateError, pending: usize) -> ServiceError {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return ServiceError::internal(error);
    };
    match StoreError::from(cause) {
        error if error.is_of_rights() => DatabaseProblem::MayNotMigrate { pending }.into(),
        // Retrying would not help.
        error if error.is_of_schema() => ServiceError::internal(error),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migration_without_a_transaction_creates_one_index() {
        let mut seen = 0;
        for migration in MIGRATIONS.iter().filter(|migration| migration.no_tx) {
            let sql = migration.sql.as_str();
            assert_eq!(sql.matches(';').count(), 1, "{sql}");
            assert!(sql.trim_end().ends_with(';'), "{sql}");
            let name = index_of(migration).unwrap();
            assert!(name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{name}");
            seen += 1;
        }
        assert!(seen > 0);
        let in_transactions = MIGRATIONS.iter().filter(|migration| !migration.no_tx);
        for migration in in_transactions.filter(|migration| migration.version > 27) {
            assert!(
                !migration.sql.as_str().contains("INDEX audit_events"),
                "{}",
                migration.version
            );
        }
    }
}
