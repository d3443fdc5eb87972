//! Changes of the schema of a database that is in use. They need tables for themselves, and PostgreSQL lets everybody
//! who comes later wait behind them. So each waits for a lock only for a moment and is tried again. Indexes that are made
//! beside everybody who writes wait for as long as they have to (`database`): nobody waits behind them.

use std::{convert::Infallible, time::Duration};

use sqlx::{Connection as _, PgConnection, migrate::MigrateError, postgres::PgConnectOptions};
use tokio::time::sleep;

use super::{StoreError, connection, open_for_migrations};

/// The pause after the first attempt. It doubles with each: others work meanwhile.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// An attempt that takes longer than this may be waiting for a lock.
const LOOK: Duration = Duration::from_millis(400);

/// Runs a change of the schema, on a connection of its own each time, until no lock of another session stops it. Logs
/// which sessions hold the locks.
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
                    "the schema is not changed yet: other sessions use its tables; trying again in {} ms",
                    pause.as_millis()
                );
            }
            outcome => return outcome,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Reports whether a lock was not to be had in time, or two sessions waited for each other.
fn is_of_locks(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return false;
    };
    let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// Logs the sessions that this one waits for, each time they are others.
async fn report_waits(options: &PgConnectOptions, session: i32) -> Infallible {
    let mut reported = String::new();
    loop {
        sleep(LOOK).await;
        // The change goes on when the blocking sessions can't be read.
        let Ok(found) = blockers(options, session).await else { continue };
        if !found.is_empty() && found != reported {
            tracing::warn!(
                "the change of the schema waits for a lock of {found}; end that session, or wait until it ends"
            );
            reported = found;
        }
    }
}

/// Describes the sessions that hold locks which this one waits for. Leaves out what they do: it may hold secrets.
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
    async fn session_that_holds_the_lock_is_described_without_what_it_does(pool: PgPool) {
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
            assert!(!waits.is_finished(), "it did not wait");
        };
        assert!(found.starts_with(&format!("session {holding} (user ")), "{found}");
        assert!(found.contains("nightly dump, in a transaction since 20"), "{found}");
        assert!(!found.contains("LOCK TABLE"), "{found}");
        waits.abort();
    }
}
