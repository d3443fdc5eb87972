//! Loading catalogues.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand};
use authority::{LoadOptions, ServiceError, catalogue_file::parse_toml};
use domain::{catalogue::CatalogueChanges, decision::DecisionCode};
use sqlx::PgPool;

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
async fn seeded_catalogues_exist_and_migrating_again_changes_nothing(pool: PgPool) {
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
    let loaded = world
        .authority
        .catalogues()
        .load(&world.operator(), catalogue.clone(), LoadOptions::default())
        .await;
    let loaded = loaded.unwrap();
    assert_eq!(counts(&loaded), (0, 2, 0, 9));
    assert_eq!((loaded.version, loaded.uses.count), (2, 1), "one token loses a scope");
    assert_eq!(world.decide(minted.secret.expose(), &read).await, DecisionCode::InsufficientScope);
    let again = world
        .authority
        .catalogues()
        .load(&world.operator(), catalogue, LoadOptions::default())
        .await
        .unwrap();
    assert_eq!(counts(&again), (0, 0, 0, 0));
    assert_eq!(again.version, 2, "nothing changed");
}

#[sqlx::test(migrations = false)]
async fn scope_that_tokens_hold_is_not_taken_from_them(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:run"]).await;
    let catalogue = parse_toml(WITHOUT_RUN).unwrap();
    let outcome = world
        .authority
        .catalogues()
        .load(&world.operator(), catalogue, LoadOptions::default())
        .await;
    let Err(ServiceError::Invalid(errors)) = outcome else { panic!("loaded") };
    assert_eq!(errors[0].message, "lacks rivers:run, which is in use; tokens that hold it: 1");
    let run = demand("default", &["rivers:run"]);
    assert_eq!(world.decide(minted.secret.expose(), &run).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn dry_run_reports_affected_tokens_and_changes_nothing(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:run"]).await;
    let run = demand("default", &["rivers:run"]);
    let catalogues = world.authority.catalogues();
    let ada = world.owner().await;
    let before = catalogues.audiences(&ada).await.unwrap();
    let catalogue = parse_toml(WITHOUT_RUN).unwrap();
    let options = LoadOptions { dry_run: true, ..LoadOptions::default() };
    let changes = catalogues.load(&ada, catalogue.clone(), options).await.unwrap();
    assert_eq!(changes.retired, ["rivers:run".parse().unwrap()]);
    assert_eq!((counts(&changes), changes.version), ((0, 2, 1, 8), 1));
    assert_eq!(changes.uses.count, 1);
    assert_eq!(changes.uses.tokens[0].id, minted.token.id);
    assert_eq!(changes.uses.tokens[0].workspace, "workspace-1".parse().unwrap());
    assert_eq!(catalogues.audiences(&ada).await.unwrap(), before);
    assert_eq!(world.decide(minted.secret.expose(), &run).await, DecisionCode::Valid);
    // Load the same catalogue for real, as a caller that has seen that version.
    let options = LoadOptions { retire: true, expected: Some(2), ..LoadOptions::default() };
    let outcome = catalogues.load(&ada, catalogue.clone(), options).await;
    assert!(matches!(outcome, Err(ServiceError::PreconditionFailed)));
    let options = LoadOptions { expected: Some(1), ..options };
    assert_eq!(counts(&catalogues.load(&ada, catalogue, options).await.unwrap()), (0, 2, 1, 8));
    assert_eq!(world.decide(minted.secret.expose(), &run).await, DecisionCode::InsufficientScope);
    // Loading it again restores the scope, also for tokens that hold it.
    let again = format!(
        "{WITHOUT_RUN}[[groups.scopes]]\nname = 'rivers:run'\ndescription = 'Run.'\nrisk = 'write'\n"
    );
    let options = LoadOptions::default();
    let changes = catalogues.load(&ada, parse_toml(&again).unwrap(), options).await.unwrap();
    assert_eq!(counts(&changes), (1, 0, 0, 0));
    assert_eq!(world.decide(minted.secret.expose(), &run).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn tesseras_own_catalogue_cannot_be_loaded(pool: PgPool) {
    let world = World::founded(pool).await;
    let text = WITHOUT_RUN.replace("\"default\"", "\"tessera\"");
    let outcome = world
        .authority
        .catalogues()
        .load(&world.operator(), parse_toml(&text).unwrap(), LoadOptions::default())
        .await;
    assert!(matches!(outcome, Err(ServiceError::Invalid(_))));
    let member = world.person("member", Some(("workspace-1", "admin"))).await;
    let outcome = world
        .authority
        .catalogues()
        .load(&member, parse_toml(WITHOUT_RUN).unwrap(), LoadOptions::default())
        .await;
    assert!(matches!(outcome, Err(ServiceError::Forbidden(_))));
}

/// Returns the numbers of added, changed, retired and removed scopes.
fn counts(changes: &CatalogueChanges) -> (usize, usize, usize, usize) {
    let CatalogueChanges { added, changed, retired, removed, .. } = changes;
    (added.len(), changed.len(), retired.len(), removed.len())
}
