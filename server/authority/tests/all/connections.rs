//! Settings that every connection and every transaction has, regardless of the role, the database
//! or a pooler.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::Arc;

use crate::support::{World, draft, slug, url};
use authority::{
    Authority, Settings, TokenDraft, clock::SystemClock, entropy::SystemEntropy, keys::Keys, store,
};
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, PgPool};

/// Each setting, a default that would do harm, and the value that Tessera sets.
const OWN: [(&str, &str, &str); 8] = [
    ("default_transaction_isolation", "'serializable'", "read committed"),
    ("TimeZone", "'Pacific/Chatham'", "UTC"),
    ("standard_conforming_strings", "off", "on"),
    ("statement_timeout", "'7s'", "1min"),
    ("lock_timeout", "'7s'", "10s"),
    ("idle_in_transaction_session_timeout", "'1h'", "5s"),
    ("search_path", "nowhere, public", "public, pg_temp"),
    // Only transactions set this one.
    ("default_transaction_read_only", "on", "on"),
];

async fn execute(pool: &PgPool, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn connection_overrides_settings_of_role_and_database(pool: PgPool) {
    let database = pool.connect_options().get_database().unwrap().to_owned();
    for (name, default, _) in OWN {
        execute(&pool, format!("ALTER DATABASE \"{database}\" SET {name} = {default}")).await;
    }
    let own = store::connect(&url(&pool), 1).unwrap();
    for (name, _, expected) in OWN {
        let shown: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&own)
            .await
            .unwrap();
        assert_eq!(shown, expected, "{name}");
    }
    own.close().await;
}

#[sqlx::test(migrations = false)]
async fn timeouts_of_newer_postgresql_versions_are_off(pool: PgPool) {
    let database = pool.connect_options().get_database().unwrap().to_owned();
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM pg_settings WHERE name IN ('transaction_timeout', 'idle_session_timeout')",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(!names.is_empty());
    for name in &names {
        execute(&pool, format!("ALTER DATABASE \"{database}\" SET {name} = '7s'")).await;
    }
    let own = store::connect(&url(&pool), 1).unwrap();
    for name in &names {
        let shown: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&own)
            .await
            .unwrap();
        assert_eq!(shown, "0", "{name}");
    }
    own.close().await;
}

/// Simulates a pooler, which lends a connection whose settings another client has changed.
#[sqlx::test(migrations = false)]
async fn transaction_overrides_settings_of_its_connection(pool: PgPool) {
    let keys = Keys::generate(&SystemEntropy);
    let text = keys.to_toml().expose_secret().to_owned();
    drop(World::with_keys(pool.clone(), keys).await);
    let own = store::connect(&url(&pool), 1).unwrap();
    let authority = Authority::new(
        own,
        Keys::from_toml(&text).unwrap(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        Settings::default(),
    );
    let create = async || {
        let (actor, surface) = (authority::Actor::Operator, authority::Surface::Cli);
        let operator = authority.context(actor, surface, "test".into(), None);
        let draft =
            TokenDraft { user: Some(crate::support::OWNER.into()), ..draft(&["rivers:read"]) };
        authority.tokens().create(&operator, &slug("workspace-1"), draft).await.unwrap();
    };

    // The first transaction that creates a token spoils its connection. The second one
    // is inspected.
    let spoil: Vec<String> = OWN
        .iter()
        .map(|(name, value, _)| {
            let value = value.trim_matches('\'');
            format!("PERFORM set_config('{name}', '{value}', false);")
        })
        .collect();
    execute(
        &pool,
        format!(
            "CREATE TABLE seen (name text, setting text);
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 DELETE FROM public.seen;
                 INSERT INTO public.seen SELECT name, setting FROM pg_catalog.pg_settings;
                 {}
                 RETURN NEW;
             END $$;
             CREATE TRIGGER look BEFORE INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION look()",
            spoil.join(" ")
        ),
    )
    .await;
    create().await;
    create().await;
    for (name, expected) in [
        ("default_transaction_read_only", "on"),
        ("transaction_isolation", "read committed"),
        ("transaction_read_only", "off"),
        ("TimeZone", "UTC"),
        ("standard_conforming_strings", "on"),
        ("statement_timeout", "60000"),
        ("lock_timeout", "10000"),
        ("idle_in_transaction_session_timeout", "5000"),
        ("search_path", "public, pg_temp"),
    ] {
        let value: String = sqlx::query_scalar("SELECT setting FROM seen WHERE name = $1")
            .bind(name)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(value, expected, "{name}");
    }
}
