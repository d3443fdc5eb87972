//! Audiences and single scopes: patterns, retiring, deleting, and permissions.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand, draft, slug};
use authority::{
    AudienceChange, Format, LoadOptions, MintedToken, NewAudience, NewScope, OpContext,
    Recoverable, RotationDraft, ScopeChange, ServiceError, TokenDraft, TokenPatch,
    catalogue_file::parse_toml,
};
use domain::{
    catalogue::{Risk, ScopeName},
    decision::DecisionCode,
    names::AudienceSlug,
    problem::FieldError,
};
use serde_json::json;
use sqlx::PgPool;

const APIV2: &str = r#"
audience = "apiv2"
name = "Queries"
[[groups]]
name = "Tables"
[[groups.scopes]]
name = "table://my.**"
description = "Query tables."
[[groups.scopes]]
name = "table://logs.*"
description = "Query logs."
[[groups]]
name = "Levels"
[[groups.scopes]]
name = "level://*"
description = "Work at a level."
risk = "admin"
[[groups.scopes]]
name = "tables:all"
description = "Everything about tables."
implies = ["table://my.**"]
"#;

fn audience(text: &str) -> AudienceSlug {
    text.parse().unwrap()
}

fn scope(text: &str) -> ScopeName {
    text.parse().unwrap()
}

async fn with_tables(pool: PgPool) -> World {
    let world = World::founded(pool).await;
    let catalogue = parse_toml(APIV2).unwrap();
    let catalogues = world.authority.catalogues();
    catalogues.load(&world.operator(), catalogue, LoadOptions::default()).await.unwrap();
    world
}

fn wish(scopes: &[&str]) -> TokenDraft {
    TokenDraft { audiences: vec!["apiv2".into()], ..draft(scopes) }
}

async fn revisions(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM revisions WHERE kind = 'catalogue'")
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

async fn actions(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT action || ' ' || subject_name FROM audit_events
          WHERE action LIKE 'scope.%' OR action LIKE 'audience.%' ORDER BY id",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = false)]
async fn token_holds_any_part_of_a_declared_pattern_and_is_granted_only_that_part(pool: PgPool) {
    let world = with_tables(pool).await;
    let minted =
        world.token("apiv2", &["TABLE://my.app.*", "table://logs.web", "level://admin"]).await;
    let scopes: Vec<_> = minted.token.scopes.iter().map(ToString::to_string).collect();
    assert_eq!(scopes, ["level://admin", "table://logs.web", "table://my.app.*"]);
    let code =
        async |scope: &str| world.decide(minted.secret.expose(), &demand("apiv2", &[scope])).await;
    for granted in ["table://my.app.test", "table://my.app.?", "level://admin", "table://logs.web"]
    {
        assert_eq!(code(granted).await, DecisionCode::Valid, "{granted}");
    }
    for refused in [
        "table://my.app.test.sub",
        "table://my.app.**",
        "table://my.**",
        "table://logs.*",
        "level://user",
        "tables:all",
    ] {
        assert_eq!(code(refused).await, DecisionCode::InsufficientScope, "{refused}");
    }
    for unknown in ["table://other", "table://**", "table://logs.**", "level://a.b"] {
        let outcome = world
            .authority
            .tokens()
            .create(&world.owner().await, &slug("workspace-1"), wish(&[unknown]))
            .await;
        assert!(matches!(outcome, Err(ServiceError::Invalid(_))), "{unknown}");
    }
}

/// Returns this many parts of one pattern.
fn parts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("table://my.n{number:04}")).collect()
}

async fn hold(world: &World, minted: &MintedToken, scopes: &[String]) {
    for sql in [
        "UPDATE tokens SET scopes = $2 WHERE id = $1",
        "UPDATE token_audiences SET scopes = $2 WHERE token_id = $1",
    ] {
        sqlx::query(sql).bind(minted.token.id.0).bind(scopes).execute(&world.pool).await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn number_of_held_scopes_is_limited_however_a_token_is_created(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let home = slug("workspace-1");
    let with = |count: usize| {
        let scopes = parts(count);
        let flat = TokenDraft { scopes: scopes.clone(), ..wish(&[]) };
        let grants = [("apiv2".to_owned(), scopes)].into();
        let pairs =
            TokenDraft { grants: Some(grants), audiences: vec![], scopes: vec![], ..flat.clone() };
        [("scopes", flat), ("grants", pairs)]
    };
    let tokens = world.authority.tokens();
    for (field, draft) in with(1_001) {
        let Err(ServiceError::Invalid(errors)) = tokens.create(&ada, &home, draft).await else {
            panic!("{field}")
        };
        let message = "must have at most 1000 scopes; there are 1001";
        assert_eq!(errors, [FieldError::new(field, message)]);
    }
    let row = json!({
        "digest": "a".repeat(64), "name": "imported", "grants": {"apiv2": parts(1_001)},
    });
    let transfer = world.authority.transfer();
    let outcome =
        transfer.import(&ada, &home, Format::Jsonl, row.to_string().as_bytes(), true).await;
    let Err(ServiceError::Invalid(errors)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(errors[0].field, "rows[1].grants");
    // The maximum of 1,000 scopes is accepted, and all of them work.
    let [_, (_, draft)] = with(1_000);
    let minted = world.mint(&ada, "workspace-1", draft).await;
    for part in ["table://my.n0000", "table://my.n0999"] {
        let decision = world.decide(minted.secret.expose(), &demand("apiv2", &[part])).await;
        assert_eq!(decision, DecisionCode::Valid, "{part}");
    }
}

#[sqlx::test(migrations = false)]
async fn token_beyond_the_scope_limit_works_and_shrinks_and_is_not_copied(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let minted = world.token("apiv2", &["table://my.x"]).await;
    hold(&world, &minted, &parts(3_000)).await;
    let last = demand("apiv2", &["table://my.n2999", "table://my.n0000"]);
    assert_eq!(world.decide(minted.secret.expose(), &last).await, DecisionCode::Valid);
    let tokens = world.authority.tokens();
    let id = minted.token.id;
    let copied = tokens.clone_of(&ada, id, None, "copy".into()).await;
    assert!(matches!(copied, Err(ServiceError::Invalid(_))), "{copied:?}");
    for (count, fits) in [(3_001, false), (2_000, true), (2_001, false)] {
        let patch = TokenPatch { scopes: Some(parts(count)), ..TokenPatch::default() };
        let outcome = tokens.update(&ada, id, None, patch).await;
        assert_eq!(outcome.is_ok(), fits, "{count}: {:?}", outcome.err());
    }
    assert_eq!(world.decide(minted.secret.expose(), &last).await, DecisionCode::InsufficientScope);
    let kept = demand("apiv2", &["table://my.n1999"]);
    assert_eq!(world.decide(minted.secret.expose(), &kept).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn token_creates_no_pattern_beyond_its_own(pool: PgPool) {
    let world = with_tables(pool).await;
    let draft = TokenDraft {
        audiences: vec!["tessera".into(), "apiv2".into()],
        ..draft(&["tokens:write", "table://my.app.*", "tables:all"])
    };
    let minter = world.mint(&world.owner().await, "workspace-1", draft).await;
    let bearer = world.bearer(&minter).await;
    let mint = async |text: &str| {
        world.authority.tokens().create(&bearer, &slug("workspace-1"), wish(&[text])).await
    };
    // By the pattern that it holds, and by the one that a named scope implies.
    assert!(mint("table://my.app.test").await.is_ok());
    assert!(mint("table://my.other.**").await.is_ok());
    let catalogues = world.authority.catalogues();
    let apiv2 = audience("apiv2");
    let implies = ScopeChange { implies: Some(vec![]), ..ScopeChange::default() };
    let all = scope("tables:all");
    catalogues.change_scope(&world.operator(), &apiv2, &all, implies, None).await.unwrap();
    let bearer = world.bearer(&minter).await;
    let mint = async |text: &str| {
        world.authority.tokens().create(&bearer, &slug("workspace-1"), wish(&[text])).await
    };
    assert!(mint("table://my.app.x?").await.is_ok());
    for wider in ["table://my.app.**", "table://my.*", "table://my.**", "level://admin"] {
        let Err(ServiceError::Invalid(errors)) = mint(wider).await else { panic!("{wider}") };
        let message = format!("has {wider}, which the calling token does not hold");
        assert_eq!(errors[0].message, message);
    }
}

#[sqlx::test(migrations = false)]
async fn token_creates_no_token_for_an_audience_other_than_its_own(pool: PgPool) {
    let world = with_tables(pool).await;
    let catalogues = world.authority.catalogues();
    let alerts = parse_toml(&APIV2.replace("apiv2", "alerts")).unwrap();
    catalogues.load(&world.operator(), alerts, LoadOptions::default()).await.unwrap();
    world
        .execute(
            "INSERT INTO policies (id, reveal, updated_at)
             VALUES (gen_random_uuid(), 'recoverable_allowed', now())",
        )
        .await;
    let owner = world.owner().await;
    let home = slug("workspace-1");
    let tokens = world.authority.tokens();
    let make = |audiences: &[&str]| TokenDraft {
        audiences: audiences.iter().map(ToString::to_string).collect(),
        recoverable: Recoverable::Yes,
        ..draft(&["table://my.**"])
    };
    let minter = TokenDraft {
        scopes: ["tokens:write", "tokens:reveal", "table://my.**"].map(Into::into).to_vec(),
        ..make(&["tessera", "apiv2"])
    };
    let bearer = world.bearer(&world.mint(&owner, "workspace-1", minter).await).await;
    let refused = |outcome: Result<MintedToken, ServiceError>| match outcome {
        Err(ServiceError::Invalid(errors)) => errors[0].message.clone(),
        Err(ServiceError::Forbidden(message)) => message.to_owned(),
        other => panic!("{other:?}"),
    };
    // The scope has the same name in both audiences, but a different meaning in each.
    assert!(tokens.create(&bearer, &home, make(&["apiv2"])).await.is_ok());
    for audiences in [&["alerts"][..], &["alerts", "apiv2"]] {
        let message = "has alerts, which the calling token is not meant for";
        assert_eq!(refused(tokens.create(&bearer, &home, make(audiences)).await), message);
        let other = world.mint(&owner, "workspace-1", make(audiences)).await.token.id;
        assert_eq!(refused(tokens.clone_of(&bearer, other, None, "copy".into()).await), message);
        for outcome in [
            tokens.reveal(&bearer, other, None).await,
            tokens.rotate(&bearer, other, None, RotationDraft::default()).await,
        ] {
            assert!(
                refused(outcome)
                    .starts_with("The token has scopes that the calling token doesn't hold")
            );
        }
    }
}

#[sqlx::test(migrations = false)]
async fn retired_scope_shows_its_tokens_and_is_no_longer_granted(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let part = world.token("apiv2", &["table://my.app", "level://admin"]).await;
    let name = world.token("apiv2", &["tables:all"]).await;
    let other = world.token("apiv2", &["table://logs.web"]).await;
    let allowed = async |secret: &authority::MintedToken, scope: &str| {
        world.decide(secret.secret.expose(), &demand("apiv2", &[scope])).await
            == DecisionCode::Valid
    };
    let catalogues = world.authority.catalogues();
    let create = async |text: &str| {
        world.authority.tokens().create(&ada, &slug("workspace-1"), wish(&[text])).await
    };
    let (apiv2, tables) = (audience("apiv2"), scope("table://my.**"));
    let before = revisions(&world).await;

    let seen = catalogues.retire_scope(&ada, &apiv2, &tables, true, None).await.unwrap();
    assert_eq!((seen.uses.count, seen.version, seen.scope.retired_at), (2, 1, None));
    let users: Vec<_> = seen.uses.tokens.iter().map(|token| token.id).collect();
    assert!(users.contains(&part.token.id) && users.contains(&name.token.id));
    assert!(allowed(&part, "table://my.app").await, "a dry run changes nothing");
    assert_eq!(revisions(&world).await, before);

    let retired = catalogues.retire_scope(&ada, &apiv2, &tables, false, Some(1)).await.unwrap();
    assert_eq!((retired.uses.count, retired.version), (2, 2));
    assert!(retired.scope.retired_at.is_some());
    assert!(!allowed(&part, "table://my.app").await, "a part of the pattern");
    assert!(!allowed(&name, "table://my.app").await, "implied");
    assert!(allowed(&name, "tables:all").await);
    assert!(allowed(&part, "level://admin").await);
    assert!(allowed(&other, "table://logs.web").await);
    assert_eq!(revisions(&world).await, before + 1);
    for unknown in ["table://my.app", "table://my.**"] {
        assert!(matches!(create(unknown).await, Err(ServiceError::Invalid(_))), "{unknown}");
    }
    let shown = catalogues.show(&ada, &apiv2).await.unwrap().catalogue;
    assert!(shown.scopes().all(|shown| shown.name != tables && !shown.implies.contains(&tables)));
    assert!(shown.check().is_ok(), "what is shown can be loaded again");

    // Retiring it again changes nothing.
    let again = catalogues.retire_scope(&ada, &apiv2, &tables, false, None).await.unwrap();
    assert_eq!((again.uses.count, again.version), (0, 2));

    let (entry, version) = catalogues.unretire_scope(&ada, &apiv2, &tables, Some(2)).await.unwrap();
    assert_eq!((entry.retired_at, version), (None, 3));
    assert!(allowed(&part, "table://my.app").await && allowed(&name, "table://my.x.y").await);

    // A scope that is part of a wider pattern, but retired by its own name.
    let admin =
        NewScope { name: "level://admin".into(), group: "Levels".into(), ..NewScope::default() };
    catalogues.add_scope(&ada, &apiv2, admin, Some(3)).await.unwrap();
    assert!(allowed(&part, "level://admin").await);
    let admin = scope("level://admin");
    let retired = catalogues.retire_scope(&ada, &apiv2, &admin, false, None).await.unwrap();
    assert_eq!(retired.uses.count, 1);
    assert!(!allowed(&part, "level://admin").await);
    assert!(matches!(create("level://admin").await, Err(ServiceError::Invalid(_))));
    assert_eq!(
        actions(&world).await,
        [
            "scope.retire apiv2 table://my.**",
            "scope.unretire apiv2 table://my.**",
            "scope.create apiv2 level://admin",
            "scope.retire apiv2 level://admin",
        ]
    );
}

#[sqlx::test(migrations = false)]
async fn retired_exact_name_is_no_longer_granted(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let minted = world.token("default", &["rivers:write"]).await;
    let catalogues = world.authority.catalogues();
    let default = audience("default");
    let code = async |scope: &str| {
        world.decide(minted.secret.expose(), &demand("default", &[scope])).await
    };
    for name in ["rivers:read", "rivers:write"] {
        assert_eq!(code(name).await, DecisionCode::Valid);
        let retired =
            catalogues.retire_scope(&ada, &default, &scope(name), false, None).await.unwrap();
        assert_eq!(retired.uses.count, 1, "{name}, held directly or implied");
        assert_eq!(code(name).await, DecisionCode::InsufficientScope);
    }
}

#[sqlx::test(migrations = false)]
async fn scope_is_added_changed_and_deleted_by_version(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let catalogues = world.authority.catalogues();
    let new =
        NewAudience { slug: "billing".into(), name: "Billing".into(), ..NewAudience::default() };
    let made = catalogues.create_audience(&ada, new.clone()).await.unwrap();
    assert_eq!(made.version, 1);
    let outcome = catalogues.create_audience(&ada, new).await;
    assert!(
        matches!(outcome, Err(ServiceError::AlreadyExists(error)) if error.field == "audience")
    );
    let billing = audience("billing");
    let add = async |name: &str, implies: &[&str], version: i64| {
        let new = NewScope {
            name: name.into(),
            implies: implies.iter().map(ToString::to_string).collect(),
            group: "Invoices".into(),
            group_description: Some("Of customers.".into()),
            ..NewScope::default()
        };
        catalogues.add_scope(&ada, &billing, new, Some(version)).await
    };
    assert_eq!(add("invoices:read", &[], 1).await.unwrap().1, 2);
    let (entry, version) = add("invoices:write", &["invoices:read"], 2).await.unwrap();
    assert_eq!((entry.position, version), (1, 3));
    assert!(matches!(add("x", &[], 2).await, Err(ServiceError::PreconditionFailed)));
    assert!(matches!(add("invoices:read", &[], 3).await, Err(ServiceError::AlreadyExists(_))));
    for (name, implies) in
        [("x", &["nothing"][..]), ("a://x", &["invoices:read"]), ("A", &[]), ("x", &["A"])]
    {
        assert!(matches!(add(name, implies, 3).await, Err(ServiceError::Invalid(_))), "{name}");
    }

    let minted = world.token("billing", &["invoices:write"]).await;
    let read = demand("billing", &["invoices:read"]);
    let before = revisions(&world).await;
    let write = scope("invoices:write");
    let words = ScopeChange {
        description: Some("Write them.".into()),
        position: Some(0),
        ..ScopeChange::default()
    };
    let (entry, version) =
        catalogues.change_scope(&ada, &billing, &write, words, Some(3)).await.unwrap();
    assert_eq!((entry.position, version), (0, 4));
    assert_eq!(entry.group_description.as_ref(), "Of customers.");
    assert_eq!(revisions(&world).await, before, "no token loses a scope");
    let risk = ScopeChange { risk: Some(Risk::Admin), ..ScopeChange::default() };
    let (entry, version) =
        catalogues.change_scope(&ada, &billing, &write, risk, Some(4)).await.unwrap();
    assert_eq!((entry.scope.risk, version), (Risk::Admin, 5));
    assert_eq!(
        revisions(&world).await,
        before + 1,
        "tokens of users who may only read lose the scope"
    );
    let nothing = ScopeChange::default();
    let (_, version) =
        catalogues.change_scope(&ada, &billing, &write, nothing, None).await.unwrap();
    assert_eq!(version, 5);
    let narrower = ScopeChange { implies: Some(vec![]), ..ScopeChange::default() };
    assert_eq!(world.decide(minted.secret.expose(), &read).await, DecisionCode::Valid);
    catalogues.change_scope(&ada, &billing, &write, narrower, Some(5)).await.unwrap();
    assert_eq!(world.decide(minted.secret.expose(), &read).await, DecisionCode::InsufficientScope);
    assert_eq!(revisions(&world).await, before + 2);

    let delete = async |name: &str| {
        let outcome = catalogues.delete_scope(&ada, &billing, &scope(name), None).await;
        outcome.map_err(|error| error.problem().detail)
    };
    let again =
        ScopeChange { implies: Some(vec!["invoices:read".into()]), ..ScopeChange::default() };
    catalogues.change_scope(&ada, &billing, &write, again, None).await.unwrap();
    assert_eq!(
        delete("invoices:read").await.unwrap_err(),
        "The scope invoices:read cannot be deleted: invoices:write implies it."
    );
    assert_eq!(
        delete("invoices:write").await.unwrap_err(),
        "The scope invoices:write cannot be deleted: 1 token holds it; retire it instead."
    );
    world.authority.tokens().delete(&ada, minted.token.id, None).await.unwrap();
    delete("invoices:write").await.unwrap();
    delete("invoices:read").await.unwrap();
    assert!(delete("invoices:read").await.is_err());
}

#[sqlx::test(migrations = false)]
async fn scope_whose_parts_are_held_is_in_use_unless_another_covers_them(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    world.token("apiv2", &["table://logs.web"]).await;
    let catalogues = world.authority.catalogues();
    let (apiv2, logs) = (audience("apiv2"), scope("table://logs.*"));
    let outcome = catalogues.delete_scope(&ada, &apiv2, &logs, None).await;
    assert!(matches!(outcome, Err(ServiceError::InUse(_))));
    let wider =
        NewScope { name: "table://**".into(), group: "Tables".into(), ..NewScope::default() };
    catalogues.add_scope(&ada, &apiv2, wider, None).await.unwrap();
    catalogues.delete_scope(&ada, &apiv2, &logs, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn audience_is_deleted_only_when_nothing_uses_it(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let catalogues = world.authority.catalogues();
    let apiv2 = audience("apiv2");
    let change = AudienceChange { name: Some("Query API".into()), ..AudienceChange::default() };
    let changed = catalogues.change_audience(&ada, &apiv2, change.clone(), Some(1)).await.unwrap();
    assert_eq!((changed.version, changed.catalogue.name.as_ref()), (2, "Query API"));
    let outcome = catalogues.change_audience(&ada, &apiv2, change, Some(1)).await;
    assert!(matches!(outcome, Err(ServiceError::PreconditionFailed)));
    let minted = world.token("apiv2", &["table://my.app"]).await;
    let delete = async || {
        let outcome = catalogues.delete_audience(&ada, &apiv2, None).await;
        outcome.map_err(|error| error.problem().detail)
    };
    assert_eq!(
        delete().await.unwrap_err(),
        "The audience apiv2 cannot be deleted: 1 token uses it."
    );
    world.authority.tokens().delete(&ada, minted.token.id, None).await.unwrap();
    assert!(
        delete()
            .await
            .unwrap_err()
            .ends_with("4 of its scopes are not retired; retire or delete them first.")
    );
    for name in ["tables:all", "table://my.**", "table://logs.*", "level://*"] {
        catalogues.retire_scope(&ada, &apiv2, &scope(name), false, None).await.unwrap();
    }
    delete().await.unwrap();
    assert!(matches!(catalogues.show(&ada, &apiv2).await, Err(ServiceError::NotFound(_))));
    assert_eq!(
        world.decide(minted.secret.expose(), &demand("apiv2", &[])).await,
        DecisionCode::Revoked
    );
}

#[sqlx::test(migrations = false)]
async fn only_instance_administrators_change_catalogues_and_none_changes_tesseras(pool: PgPool) {
    let world = World::founded(pool).await;
    let admin = world.person("admin", Some(("workspace-1", "admin"))).await;
    let bearer = world.bearer(&world.token("tessera", &["tokens:write"]).await).await;
    let catalogues = world.authority.catalogues();
    let default = audience("default");
    let run = scope("rivers:run");
    let outcomes = async |ctx: &OpContext, audience: &AudienceSlug, run: &ScopeName| {
        let new = NewScope { name: "x".into(), group: "X".into(), ..NewScope::default() };
        let change = AudienceChange::default();
        [
            catalogues.change_audience(ctx, audience, change, None).await.map(drop),
            catalogues.delete_audience(ctx, audience, None).await,
            catalogues.add_scope(ctx, audience, new, None).await.map(drop),
            catalogues
                .change_scope(ctx, audience, run, ScopeChange::default(), None)
                .await
                .map(drop),
            catalogues.retire_scope(ctx, audience, run, true, None).await.map(drop),
            catalogues.unretire_scope(ctx, audience, run, None).await.map(drop),
            catalogues.delete_scope(ctx, audience, run, None).await,
        ]
    };
    for ctx in [&admin, &bearer] {
        let outcome = catalogues.create_audience(ctx, NewAudience::default()).await;
        assert!(matches!(outcome, Err(ServiceError::Forbidden(_))));
        for outcome in outcomes(ctx, &default, &run).await {
            assert!(matches!(outcome, Err(ServiceError::Forbidden(_))), "{outcome:?}");
        }
        assert!(catalogues.scopes(ctx, &default).await.is_ok());
    }
    for outcome in outcomes(&world.anonymous(), &default, &run).await {
        assert!(matches!(outcome, Err(ServiceError::Unauthenticated)));
    }
    assert!(matches!(
        catalogues.scopes(&world.anonymous(), &default).await,
        Err(ServiceError::Unauthenticated)
    ));
    for outcome in outcomes(&world.operator(), &audience("tessera"), &scope("tokens:read")).await {
        assert!(matches!(outcome, Err(ServiceError::Forbidden(_))), "{outcome:?}");
    }
    for outcome in outcomes(&world.operator(), &audience("nothing"), &run).await {
        assert!(matches!(outcome, Err(ServiceError::NotFound("audience"))), "{outcome:?}");
    }
}
