//! Upgrades from version 0.1: released migrations stay as they are, servers of 0.1 can run beside the
//! present schema, and the data of 0.1 migrate with their tokens and audit chains intact.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

mod support;

use std::{collections::BTreeMap, fs, path::PathBuf};

use authority::keys::Keys;
use domain::decision::{DecisionCode, Demand};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column as _, Either, Executor as _, PgPool, SqlSafeStr as _, TypeInfo as _,
    migrate::Migrator,
};
use support::World;
use time::macros::datetime;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/0.1").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}

/// Builds the database of a version 0.1 instance.
async fn restore(pool: &PgPool) {
    Migrator::new(fixture("migrations")).await.unwrap().run(pool).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(read("data.sql"))).execute(pool).await.unwrap();
}

/// The same, migrated to this version and opened with its own keys.
async fn migrated(pool: PgPool) -> World {
    restore(&pool).await;
    let keys = Keys::from_toml(&read("keys.toml")).unwrap();
    World::restored(pool, keys, datetime!(2026-11-28 12:00 UTC)).await
}

#[test]
fn released_migrations_are_unchanged() {
    let present = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in fs::read_dir(fixture("migrations")).unwrap() {
        let released = entry.unwrap().path();
        let now = present.join(released.file_name().unwrap());
        assert_eq!(
            fs::read(&now).unwrap(),
            fs::read(&released).unwrap(),
            "{} was released and must not change: add a migration instead",
            now.display()
        );
    }
}

/// Servers of version 0.1 keep running while others are upgraded, so that each of their queries must still
/// be valid, with the same parameters and columns.
#[sqlx::test(migrations = false)]
async fn queries_of_0_1_are_valid_on_the_present_schema(pool: PgPool) {
    let world = World::empty(pool).await;
    let mut connection = world.pool.acquire().await.unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(fixture("queries")).unwrap() {
        let file = fs::read_to_string(entry.unwrap().path()).unwrap();
        let recorded: Value = serde_json::from_str(&file).unwrap();
        let query = recorded["query"].as_str().unwrap().to_owned();
        let described = (&mut *connection)
            .describe(AssertSqlSafe(query.clone()).into_sql_str())
            .await
            .unwrap_or_else(|error| panic!("{error}:\n{query}"));
        let columns: Vec<String> =
            described.columns().iter().map(|column| column.name().to_owned()).collect();
        let expected: Vec<String> = recorded["describe"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(columns, expected, "{query}");
        if let Some(Either::Left(parameters)) = described.parameters() {
            let types: Vec<String> =
                parameters.iter().map(|kind| kind.name().to_lowercase()).collect();
            let expected = recorded["describe"]["parameters"]["Left"].as_array().unwrap();
            assert_eq!(types.len(), expected.len(), "{query}");
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen} queries");
}

#[sqlx::test(migrations = false)]
async fn tokens_of_0_1_decide_as_before(pool: PgPool) {
    let world = migrated(pool).await;
    let secrets: BTreeMap<String, String> = toml::from_str(&read("secrets.toml")).unwrap();
    for (name, secret) in &secrets {
        let expected = match name.as_str() {
            "disabled" => DecisionCode::Disabled,
            "expired" => DecisionCode::Expired,
            // A deleted token is a tombstone.
            "deleted" => DecisionCode::Revoked,
            "bounded" => DecisionCode::IpDenied,
            _ => DecisionCode::Valid,
        };
        assert_eq!(world.decide(secret, &Demand::default()).await, expected, "{name}");
    }
}

#[sqlx::test(migrations = false)]
async fn audit_chains_of_0_1_are_whole_after_the_migration(pool: PgPool) {
    let world = migrated(pool).await;
    let chains = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert_eq!(chains.len(), 3);
    for chain in chains {
        assert!(chain.damage.is_empty(), "{chain:?}");
    }
}
