//! Schema changes of a database that is in use.
//!
//! Such a change needs exclusive locks on tables, and in PostgreSQL every later query waits behind
//! a pending lock request. So each change waits only briefly for a lock and is then retried.
//! Indexes that are built concurrently with writes wait for as long as they need to (`database`),
//! because no query waits behind them.

use std::{convert::Infallible, time::Duration};

use sqlx::{Connection as _, PgConnection, migrate::MigrateError, postgres::PgConnectOptions};
use tokio::time::sleep;

use super::{StoreError, connection, open_for_migrations};

/// The pause after the first attempt. It doubles with each attempt, so that other sessions can work
/// in between.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// An attempt that takes longer than this may be waiting for a lock.
const LOOK: Duration = Duration::from_millis(400);

/// Retries a schema change, on a new connection for each attempt, until no lock of another session
/// prevents it. Logs the sessions that hold the locks.
pub(super) async fn until_unlocked<F>(
    options: &PgConnectOptions,
    attempt: impl Fn(PgConnection) -> F,
) -> Result<(), MigrateError>
where
    F: Future<Output = Result<(), MigrateError>>,
{
    let mut pause = PAUSE;
    loop {
        let mut connection = open_for_migrations(options).await?;
        let session = sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#)
            .fetch_one(&mut connection)
            .await?;
        let outcome = tokio::select! {
            biased;
            outcome = attempt(connection) => outcome,
            never = report_waits(options, session) => match never {},
        };
        match outcome {
            Err(error) if is_of_locks(&error) => {
                tracing::warn!(
                    "cannot change the schema yet because other sessions are using its tables; retrying in {} ms",
                    pause.as_millis()
                );
            }
            outcome => return outcome,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Checks whether a migration failed because of a lock timeout (`55P03`) or a deadlock (`40P01`).
fn is_of_locks(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return false;
    };
    let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// Logs the sessions that block this one, each time the set of sessions changes.
async fn report_waits(options: &PgConnectOptions, session: i32) -> Infallible {
    let mut reported = String::new();
    loop {
        sleep(LOOK).await;
        // Failing to read the blocking sessions must not fail the schema change.
        let Ok(found) = blockers(options, session).await else { continue };
        if !found.is_empty() && found != reported {
            tracing::warn!(
                "the schema change is waiting for a lock held by {found}; end that session, or wait until it ends"
            );
            reported = found;
        }
    }
}

/// Describes the sessions that hold the locks that this session waits for. Omits their queries,
/// which may contain secrets.
async fn blockers(options: &PgConnectOptions, session: i32) -> Result<String, StoreError> {
    let mut connection = connection::open(options).await?;
    let found = sqlx::query_scalar!(
        r#"SELECT format('session %s (user %s, %s%s)', a.pid, COALESCE(a.usename, '?'),
                         COALESCE(NULLIF(a.application_name, ''), 'without a name'),
                         ', in a transaction since ' || to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')) AS "session!"
             FROM unnest(pg_blocking_pids($1)) AS blocking(pid)
             JOIN pg_stat_activity a USING (pid)
            ORDER BY a.pid"#,
        session
    )
    .fetch_all(&mut connection)
    .await?;
    let _ = connection.close().await;
    Ok(found.join(", "))
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;

    #[sqlx::test(migrations = "./migrations")]
    async fn session_that_holds_the_lock_is_described_without_its_statement(pool: PgPool) {
        let options = pool.connect_options().as_ref().clone().application_name("nightly dump");
        let mut holder = PgConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("BEGIN; LOCK TABLE tokens IN ACCESS SHARE MODE")
            .execute(&mut holder)
            .await
            .unwrap();
        let pid = "SELECT pg_backend_pid()";
        let holding: i32 = sqlx::query_scalar(pid).fetch_one(&mut holder).await.unwrap();
        let mut waiter = pool.acquire().await.unwrap();
        let waiting: i32 = sqlx::query_scalar(pid).fetch_one(&mut *waiter).await.unwrap();
        let waits = tokio::spawn(async move {
            sqlx::raw_sql("BEGIN; LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")
                .execute(&mut *waiter)
                .await
        });
        let found = loop {
            let found = blockers(&options, waiting).await.unwrap();
            if !found.is_empty() {
                break found;
            }
            assert!(!waits.is_finished(), "the second lock did not wait for the first one");
        };
        assert!(found.starts_with(&format!("session {holding} (user ")), "{found}");
        assert!(found.contains("nightly dump, in a transaction since 20"), "{found}");
        assert!(!found.contains("LOCK TABLE"), "{found}");
        waits.abort();
    }
}
