//! Loading catalogues.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

mod support;

use authority::{LoadedCatalogue, ServiceError, catalogue_file::parse_toml};
use domain::decision::DecisionCode;
use sqlx::PgPool;
use support::{World, demand};

const WITHOUT_RUN: &str = r#"
audience = "default"
name = "Rivers"
[[groups]]
name = "Rivers"
[[groups.scopes]]
name = "rivers:read"
description = "Read."
[[groups.scopes]]
name = "rivers:write"
description = "Write."
risk = "write"
implies = []
"#;

#[sqlx::test(migrations = false)]
async fn seeded_catalogues_are_there_and_migrating_again_changes_nothing(pool: PgPool) {
    let world = World::founded(pool).await;
    let ctx = world.owner().await;
    let before = world.authority.catalogues().list(&ctx).await.unwrap();
    let names: Vec<_> = before.iter().map(|catalogue| catalogue.audience.to_string()).collect();
    assert_eq!(names, ["default", "tessera"]);
    world.authority.migrate().await.unwrap();
    assert_eq!(world.authority.catalogues().list(&ctx).await.unwrap(), before);
    assert_eq!(world.authority.pending_migrations().await.unwrap(), 0);
}

#[sqlx::test(migrations = false)]
async fn loading_replaces_and_a_narrower_implication_narrows_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:write"]).await;
    let read = demand("default", &["rivers:read"]);
    assert_eq!(world.decide(minted.secret.expose(), &read).await, DecisionCode::Valid);
    let catalogue = parse_toml(WITHOUT_RUN).unwrap();
    let loaded = world.authority.catalogues().load(&world.operator(), catalogue.clone()).await;
    assert_eq!(loaded.unwrap(), LoadedCatalogue { added: 0, changed: 2, removed: 9 });
    assert_eq!(world.decide(minted.secret.expose(), &read).await, DecisionCode::InsufficientScope);
    let again = world.authority.catalogues().load(&world.operator(), catalogue).await.unwrap();
    assert_eq!(again, LoadedCatalogue::default());
}

#[sqlx::test(migrations = false)]
async fn scope_that_tokens_hold_is_not_taken_from_them(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:run"]).await;
    let catalogue = parse_toml(WITHOUT_RUN).unwrap();
    let outcome = world.authority.catalogues().load(&world.operator(), catalogue).await;
    let Err(ServiceError::Invalid(errors)) = outcome else { panic!("loaded") };
    assert_eq!(errors[0].message, "lacks rivers:run, which 1 tokens hold");
    let run = demand("default", &["rivers:run"]);
    assert_eq!(world.decide(minted.secret.expose(), &run).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn tesseras_own_catalogue_cannot_be_loaded(pool: PgPool) {
    let world = World::founded(pool).await;
    let text = WITHOUT_RUN.replace("\"default\"", "\"tessera\"");
    let outcome =
        world.authority.catalogues().load(&world.operator(), parse_toml(&text).unwrap()).await;
    assert!(matches!(outcome, Err(ServiceError::Invalid(_))));
    let member = world.person("member", Some(("workspace-1", "admin"))).await;
    let outcome =
        world.authority.catalogues().load(&member, parse_toml(WITHOUT_RUN).unwrap()).await;
    assert!(matches!(outcome, Err(ServiceError::Forbidden(_))));
}
