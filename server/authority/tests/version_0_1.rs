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
use domain::{
    decision::{DecisionCode, Demand},
    ids::TokenId,
    token::Standing,
};
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

/// What version 0.1 wrote in its audit log says who made and who stopped its tokens.
#[sqlx::test(migrations = false)]
async fn makers_and_stops_of_0_1_are_read_from_its_audit_log(pool: PgPool) {
    restore(&pool).await;
    // An operator disabled a token and Linus's token ended one, each after what the log has. Two tokens made
    // one each, and the second was deleted since.
    for script in [
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_name, action, subject_id, subject_name, surface, request_id, chain, seq, mac, key_version)
         SELECT at + interval '1 s', workspace_id, 'operator', 'command line', action, subject_id, subject_name, 'cli', request_id, chain, seq + 1000, mac, key_version
           FROM audit_events WHERE action = 'token.disable'",
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name, surface, request_id, chain, seq, mac, key_version)
         SELECT a.at, a.workspace_id, 'token', t.id, t.name, a.action, a.subject_id, a.subject_name, 'rest', a.request_id, a.chain, a.seq + 1001, a.mac, a.key_version
           FROM audit_events a, tokens t WHERE a.action = 'token.expire' AND t.name = 'of-linus'",
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name, surface, request_id, chain, seq, mac, key_version)
         SELECT a.at, a.workspace_id, 'token', p.id, p.name, a.action, a.subject_id, a.subject_name, 'rest', a.request_id, a.chain, a.seq + 1002, a.mac, a.key_version
           FROM audit_events a JOIN tokens t ON t.id = a.subject_id
           JOIN tokens p ON p.name = CASE t.name WHEN 'plain' THEN 'manager' WHEN 'pattern' THEN 'deleted' END
          WHERE a.action = 'token.create'",
    ] {
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&pool).await.unwrap();
    }
    let keys = Keys::from_toml(&read("keys.toml")).unwrap();
    let world = World::restored(pool, keys, datetime!(2026-11-28 12:00 UTC)).await;
    let id = async |name: &str| -> TokenId {
        let id = sqlx::query_scalar("SELECT id FROM tokens WHERE name = $1").bind(name);
        let id: uuid::Uuid = id.fetch_one(&world.pool).await.unwrap();
        id.into()
    };
    let token = async |name: &str| {
        let id = id(name).await;
        world.authority.tokens().show(&world.operator(), id).await.unwrap()
    };
    let disabled = token("disabled").await.disabled_by.unwrap();
    assert_eq!((disabled.user, disabled.standing), (None, Standing::Administrator));
    let ended = token("expired").await.ended_by.unwrap();
    assert_eq!(ended.standing, Standing::Administrator);
    assert_eq!(ended.user.unwrap().id, token("of-linus").await.user.id);
    for name in ["plain", "manager", "rotating"] {
        let token = token(name).await;
        assert_eq!((token.disabled_by, token.ended_by), (None, None), "{name}");
    }
    assert_eq!(token("plain").await.parent, Some(id("manager").await));
    assert_eq!(token("pattern").await.parent, Some(id("deleted").await));
    assert_eq!(token("manager").await.parent, None);
    // They were made without bounds: their makers' ends do not bind them.
    let bound: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens WHERE within_parent")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(bound, 0);
}
