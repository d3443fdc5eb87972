//! The upgrade of a database that is in use, which must not block other sessions, and
//! the downgrade.

use std::{path::Path, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
};
use tokio::time::Instant;

use super::{fixture, migrated, opened, restore};
use crate::support::until;

/// A backup reads every table for as long as it takes, while migrations need exclusive locks
/// on tables.
#[sqlx::test(migrations = false)]
async fn readers_do_not_wait_behind_migrations_that_wait_for_a_backup(pool: PgPool) {
    restore(&pool).await;
    let options = pool.connect_options().as_ref().clone();
    let mut backup = PgConnection::connect_with(&options).await.unwrap();
    let begin = "BEGIN; LOCK TABLE tokens IN ACCESS SHARE MODE";
    sqlx::raw_sql(begin).execute(&mut backup).await.unwrap();
    let mut reader = PgConnection::connect_with(&options).await.unwrap();
    let upgrade = tokio::spawn(opened(pool));
    let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'tokens'::regclass AND NOT granted";
    for _ in 0..2 {
        // Each time the upgrade waits, a reader queues behind it.
        until("the upgrade to wait for the lock", async || {
            let count = sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut reader).await.unwrap();
            assert!(count != 0 || !upgrade.is_finished(), "the upgrade did not wait");
            count != 0
        })
        .await;
        sqlx::raw_sql("SET statement_timeout = '30s'").execute(&mut reader).await.unwrap();
        let read = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tokens");
        assert!(read.fetch_one(&mut reader).await.unwrap() > 0);
    }
    assert!(!upgrade.is_finished());
    backup.close().await.unwrap();
    let world = upgrade.await.unwrap();
    assert_eq!(world.authority.pending_migrations().await.unwrap(), 0);
}

/// Builds the database of a version 0.1 instance with all migrations except those of the log's
/// indexes. Returns the number of these.
async fn restore_without_indexes(pool: &PgPool) -> usize {
    restore(pool).await;
    let all = Migrator::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")));
    let mut earlier = all.await.unwrap();
    let indexes = earlier.iter().filter(|one| one.no_tx).count();
    earlier.migrations = earlier.iter().filter(|one| !one.no_tx).cloned().collect();
    earlier.run(pool).await.unwrap();
    indexes
}

/// The log is large, so that its indexes take a while to build. Two servers upgrade at once.
#[sqlx::test(migrations = false)]
async fn log_and_tokens_are_written_while_indexes_of_the_log_are_built(pool: PgPool) {
    restore_without_indexes(&pool).await;
    let options = pool.connect_options().as_ref().clone();
    let mut busy = PgConnection::connect_with(&options).await.unwrap();
    let begin = "BEGIN; LOCK TABLE audit_events IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(begin).execute(&mut busy).await.unwrap();
    let mut writer = PgConnection::connect_with(&options).await.unwrap();
    let upgrades = [tokio::spawn(opened(pool.clone())), tokio::spawn(opened(pool))];
    let waits = "SELECT count(*) FROM pg_stat_progress_create_index
                  WHERE datname = current_database() AND phase LIKE 'waiting for %'";
    until("an index to wait", async || {
        let count = sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut writer).await.unwrap();
        assert!(count != 0 || upgrades.iter().all(|one| !one.is_finished()), "no index waits");
        count != 0
    })
    .await;
    // Disable a token as a server of 0.1 does.
    let write = "SET lock_timeout = '5s';
        BEGIN;
        UPDATE tokens SET enabled = false WHERE name = 'plain';
        INSERT INTO audit_events (at, workspace_id, actor_kind, actor_name, action, subject_id, subject_name, surface, request_id, chain, seq, mac, key_version)
        SELECT at, workspace_id, 'operator', 'command line', 'token.disable', subject_id, subject_name, 'cli', request_id, chain, seq + 1000, mac, key_version
          FROM audit_events WHERE action = 'token.disable' LIMIT 1;
        COMMIT";
    sqlx::raw_sql(write).execute(&mut writer).await.unwrap();
    assert!(upgrades.iter().all(|one| !one.is_finished()));
    sqlx::raw_sql("COMMIT").execute(&mut busy).await.unwrap();
    for upgrade in upgrades {
        assert_eq!(upgrade.await.unwrap().authority.pending_migrations().await.unwrap(), 0);
    }
}

/// If the build of an index is interrupted, PostgreSQL keeps the index but does not use it.
#[sqlx::test(migrations = false)]
async fn invalid_index_that_is_left_over_is_rebuilt(pool: PgPool) {
    let indexes = restore_without_indexes(&pool).await;
    let stopped =
        "CREATE UNIQUE INDEX CONCURRENTLY audit_events_of_users ON audit_events (surface)";
    let stopped = sqlx::raw_sql(stopped).execute(&pool).await.unwrap_err();
    assert!(stopped.to_string().contains("could not create unique index"), "{stopped}");
    let world = opened(pool).await;
    let made = "SELECT pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
                 WHERE indrelid = 'audit_events'::regclass AND indisvalid AND relname ~ 'secrets|holder|users?$'";
    let made: Vec<String> = sqlx::query_scalar(made).fetch_all(&world.pool).await.unwrap();
    assert_eq!(made.len(), indexes, "{made:?}");
    assert!(made.iter().all(|index| !index.contains("surface")), "{made:?}");
}

/// Returns the statements of the page for operators that start with this text.
fn documented(beginning: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```sql\n{beginning}")).unwrap();
    format!("{beginning}{}", rest.split_once("```").unwrap().0)
}

#[sqlx::test(migrations = false)]
async fn server_of_0_1_starts_again_only_after_later_migrations_are_removed(pool: PgPool) {
    let world = migrated(pool).await;
    // A server of version 0.1 does this when it starts.
    let of_0_1 = Migrator::new(fixture("migrations")).await.unwrap();
    let refused = of_0_1.run(&world.pool).await.unwrap_err();
    assert!(matches!(refused, MigrateError::VersionMissing(6)), "{refused}");
    for (statements, pending) in
        [("CREATE TABLE migrations_aside", true), ("INSERT INTO _sqlx_migrations", false)]
    {
        let sql = AssertSqlSafe(documented(statements));
        sqlx::raw_sql(sql).execute(&world.pool).await.unwrap();
        assert_eq!(of_0_1.run(&world.pool).await.is_ok(), pending);
        assert_eq!(world.authority.pending_migrations().await.unwrap() > 0, pending);
    }
}

/// A server of 0.1 may take a while to change a token. Reading the log waits only for that token,
/// and only after the schema is in place.
#[sqlx::test(migrations = false)]
async fn log_of_0_1_is_read_after_the_migrations_and_locks_few_tokens_at_a_time(pool: PgPool) {
    restore(&pool).await;
    let mut earlier =
        Migrator::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))).await.unwrap();
    earlier.migrations = earlier.iter().filter(|one| one.version < 25).cloned().collect();
    earlier.run(&pool).await.unwrap();
    let options = pool.connect_options().as_ref().clone();
    let mut busy = PgConnection::connect_with(&options).await.unwrap();
    let begin = "BEGIN; SELECT FROM tokens WHERE name = 'of-linus' FOR UPDATE";
    sqlx::raw_sql(begin).execute(&mut busy).await.unwrap();
    let mut watcher = PgConnection::connect_with(&options).await.unwrap();
    let upgrade = tokio::spawn(opened(pool));
    let unread = "SELECT count(*) FROM tokens_with_unread_log";
    let deadline = Instant::now() + Duration::from_mins(1);
    while !matches!(sqlx::query_scalar::<_, i64>(unread).fetch_one(&mut watcher).await, Ok(1..)) {
        assert!(Instant::now() < deadline, "the migrations wait for a token");
        assert!(!upgrade.is_finished(), "nothing waited for the token");
        tokio::task::yield_now().await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut busy).await.unwrap();
    let world = upgrade.await.unwrap();
    let left = sqlx::query_scalar::<_, i64>(unread).fetch_one(&world.pool).await.unwrap();
    assert_eq!(left, 0);
}
