//! A scope is held in one audience only: a grant in one API means nothing in another.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::support::{World, demand, draft, drop_tables, slug};
use authority::{
    Actor, Added, Doubt, GrantsChange, LoadOptions, MemberChange, MintedToken, NewMember,
    OpContext, ServiceError, TokenDraft, TokenPatch, catalogue_file::parse_toml, keys::Keys,
};
use domain::{decision::DecisionCode, problem::ProblemCode, token::Token, token_query::TokenQuery};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, migrate::Migrator};
use time::macros::datetime;

const VAULT: &str = r#"
audience = "vault"
name = "Vault"
[[groups]]
name = "Tokens"
[[groups.scopes]]
name = "tokens:write"
description = "Change tokens of the vault."
implies = ["tokens:list"]
[[groups.scopes]]
name = "tokens:list"
description = "See tokens of the vault."
[[groups.scopes]]
name = "rivers:read"
description = "See rivers of the vault."
[[groups.scopes]]
name = "table://vault.**"
description = "Query tables of the vault."
"#;

async fn load(world: &World, text: &str) {
    let catalogue = parse_toml(text).unwrap();
    let catalogues = world.authority.catalogues();
    catalogues.load(&world.operator(), catalogue, LoadOptions::default()).await.unwrap();
}

async fn with_vault(pool: PgPool) -> World {
    let world = World::founded(pool).await;
    load(&world, VAULT).await;
    world
}

/// Returns a draft with pairs such as `vault/tokens:write`.
fn granting(pairs: &[&str]) -> TokenDraft {
    let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in pairs {
        let (audience, scope) = pair.split_once('/').unwrap();
        grants.entry(audience.into()).or_default().push(scope.into());
    }
    TokenDraft { grants: Some(grants), ..draft(&[]) }
}

async fn mint(world: &World, pairs: &[&str]) -> MintedToken {
    world.mint(&world.owner().await, "workspace-1", granting(pairs)).await
}

/// Creates a token as a 0.1 server does.
async fn mint_flat(world: &World, audiences: &[&str], scopes: &[&str]) -> MintedToken {
    let first = format!(
        "{}/{}",
        audiences[0],
        if audiences[0] == "tessera" { "verify" } else { "rivers:read" }
    );
    let minted = mint(world, &[&first]).await;
    sqlx::query("UPDATE tokens SET scopes = $2 WHERE id = $1")
        .bind(minted.token.id.0)
        .bind(scopes)
        .execute(&world.pool)
        .await
        .unwrap();
    sqlx::query("DELETE FROM token_audiences WHERE token_id = $1")
        .bind(minted.token.id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO token_audiences (token_id, audience_id) SELECT $1, id FROM audiences WHERE slug = ANY($2)",
    )
    .bind(minted.token.id.0)
    .bind(audiences)
    .execute(&world.pool)
    .await
    .unwrap();
    minted
}

async fn may(world: &World, minted: &MintedToken, audience: &str, scope: &str) -> bool {
    let secret = minted.secret.expose();
    world.decide(secret, &demand(audience, &[scope])).await == DecisionCode::Valid
}

async fn shown(world: &World, minted: &MintedToken) -> Token {
    world.authority.tokens().show(&world.operator(), minted.token.id).await.unwrap()
}

async fn grants(world: &World, minted: &MintedToken) -> Value {
    json!(shown(world, minted).await.grants)
}

async fn update(
    world: &World,
    minted: &MintedToken,
    patch: TokenPatch,
) -> Result<Token, ServiceError> {
    world.authority.tokens().update(&world.operator(), minted.token.id, None, patch).await
}

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

/// Returns the number of rows of tokens that were not converted to pairs yet.
async fn unread(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM token_audiences WHERE scopes IS NULL")
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrations = false)]
async fn scope_of_another_api_does_not_manage_tokens_of_tessera(pool: PgPool) {
    let world = with_vault(pool).await;
    let minted = mint(&world, &["vault/tokens:write", "tessera/verify"]).await;
    assert!(may(&world, &minted, "vault", "tokens:write").await);
    assert!(may(&world, &minted, "vault", "tokens:list").await);
    assert!(may(&world, &minted, "tessera", "verify").await);
    assert!(!may(&world, &minted, "tessera", "tokens:write").await);
    let bearer = world.bearer(&minted).await;
    let tokens = world.authority.tokens();
    let made = tokens.create(&bearer, &slug("workspace-1"), granting(&["tessera/verify"])).await;
    assert_eq!(code(made), ProblemCode::InsufficientScope);
    // A token that manages Tessera's tokens gets no rights in the API either.
    let manager = mint(&world, &["vault/rivers:read", "tessera/tokens:write"]).await;
    assert!(!may(&world, &manager, "vault", "tokens:write").await);
    let bearer = world.bearer(&manager).await;
    let ask = async |pair: &str| {
        tokens.create(&bearer, &slug("workspace-1"), granting(&[pair])).await.map(drop)
    };
    assert_eq!(code(ask("vault/tokens:write").await), ProblemCode::ValidationFailed);
    assert!(ask("vault/rivers:read").await.is_ok());
}

#[sqlx::test(migrations = false)]
async fn token_loses_scopes_of_one_audience_and_keeps_those_of_another(pool: PgPool) {
    let world = with_vault(pool).await;
    let pairs =
        ["default/rivers:read", "vault/rivers:read", "vault/tokens:write", "tessera/verify"];
    let minted = mint(&world, &pairs).await;
    let shrink = |grants: Value| TokenPatch {
        grants: serde_json::from_value(grants).unwrap(),
        ..TokenPatch::default()
    };
    for wider in [
        json!({"default": ["tokens:write"]}),
        json!({"tessera": ["tokens:write"]}),
        json!({"apiv2": ["rivers:read"]}),
        json!({"default": []}),
    ] {
        assert_eq!(
            code(update(&world, &minted, shrink(wider)).await),
            ProblemCode::ValidationFailed
        );
    }
    let kept = json!({"default": ["rivers:read"], "vault": ["tokens:list"]});
    update(&world, &minted, shrink(kept.clone())).await.unwrap();
    assert_eq!(grants(&world, &minted).await, kept);
    assert!(may(&world, &minted, "default", "rivers:read").await);
    assert!(!may(&world, &minted, "vault", "rivers:read").await);
    let code = world.decide(minted.secret.expose(), &demand("tessera", &["verify"])).await;
    assert_eq!(code, DecisionCode::AudienceMismatch);
    let token = shown(&world, &minted).await;
    assert_eq!(
        json!([token.audiences, token.scopes]),
        json!([["default", "vault"], ["rivers:read", "tokens:list"]])
    );
    let stored: Vec<String> = sqlx::query_scalar("SELECT scopes FROM tokens WHERE id = $1")
        .bind(token.id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(stored, ["rivers:read", "tokens:list"], "what a 0.1 server reads");
}

#[sqlx::test(migrations = false)]
async fn list_finds_tokens_by_audience_and_scope(pool: PgPool) {
    let world = with_vault(pool).await;
    let here = mint(&world, &["vault/tokens:write", "tessera/verify"]).await;
    let there = mint(&world, &["vault/rivers:read", "tessera/tokens:write"]).await;
    let found = async |audience: Option<&str>, scope: &str| {
        let query = TokenQuery {
            audience: audience.map(Into::into),
            scope: Some(scope.into()),
            ..TokenQuery::default()
        };
        let ctx = world.operator();
        let page = world.authority.tokens().list(&ctx, &slug("workspace-1"), &query).await.unwrap();
        page.items.into_iter().map(|token| token.id).collect::<Vec<_>>()
    };
    assert_eq!(found(Some("vault"), "tokens:write").await, [here.token.id]);
    assert_eq!(found(Some("tessera"), "tokens:write").await, [there.token.id]);
    assert_eq!(found(Some("default"), "tokens:write").await, []);
    assert_eq!(found(None, "tokens:write").await.len(), 2);
}

#[sqlx::test(migrations = false)]
async fn tokens_that_lose_a_scope_are_reported_by_audience_and_scope(pool: PgPool) {
    let world = with_vault(pool).await;
    let here = mint(&world, &["vault/tokens:write", "tessera/verify"]).await;
    mint(&world, &["vault/rivers:read", "tessera/tokens:write"]).await;
    let (vault, name) = ("vault".parse().unwrap(), "tokens:write".parse().unwrap());
    let catalogues = world.authority.catalogues();
    let retired =
        catalogues.retire_scope(&world.operator(), &vault, &name, true, None).await.unwrap();
    assert_eq!(retired.uses.count, 1);
    assert_eq!(retired.uses.tokens[0].id, here.token.id);
}

#[sqlx::test(migrations = false)]
async fn copy_of_a_token_holds_the_same_pairs(pool: PgPool) {
    let world = with_vault(pool).await;
    let minted = mint(&world, &["vault/tokens:write", "tessera/verify"]).await;
    let tokens = world.authority.tokens();
    let owner = world.owner().await;
    let copy = tokens.clone_of(&owner, minted.token.id, None, "copy".into()).await.unwrap();
    assert_eq!(copy.token.grants, minted.token.grants);
}

#[sqlx::test(migrations = false)]
async fn token_created_by_a_0_1_server_is_read_with_the_catalogues(pool: PgPool) {
    let world = with_vault(pool).await;
    let flat = ["rivers:read", "tokens:write", "verify"];
    let minted = mint_flat(&world, &["default", "tessera", "vault"], &flat).await;
    let expected = json!({
        "default": ["rivers:read"], "tessera": ["verify"], "vault": ["rivers:read", "tokens:write"],
    });
    assert_eq!(grants(&world, &minted).await, expected);
    assert!(may(&world, &minted, "vault", "tokens:write").await);
    assert!(!may(&world, &minted, "tessera", "tokens:write").await);
    assert!(may(&world, &minted, "tessera", "verify").await);
    assert_eq!(unread(&world).await, 3);
    // A later change of a catalogue gives nothing to existing tokens.
    load(&world, "audience = \"other\"\nname = \"Other\"").await;
    let more = VAULT.replace("tokens:list", "verify");
    load(&world, &more).await;
    assert_eq!(unread(&world).await, 0);
    assert_eq!(grants(&world, &minted).await, expected);
    assert!(may(&world, &minted, "tessera", "verify").await);
    let doubts = world.authority.tokens().unread_scopes(&world.operator()).await.unwrap();
    assert_eq!(doubts.len(), 1);
    assert_eq!((doubts[0].scope.as_str(), doubts[0].doubt), ("tokens:write", Doubt::Ambiguous));
}

#[sqlx::test(migrations = false)]
async fn part_of_a_pattern_and_an_undeclared_name_are_read(pool: PgPool) {
    let world = with_vault(pool).await;
    let flat = ["rivers:read", "table://vault.eu", "table://else", "boats:read"];
    let minted = mint_flat(&world, &["default", "vault"], &flat).await;
    let alone = mint_flat(&world, &["default"], &["boats:read", "rivers:read"]).await;
    assert!(may(&world, &minted, "vault", "table://vault.eu").await);
    world.authority.migrate().await.unwrap();
    assert!(may(&world, &minted, "vault", "table://vault.eu").await);
    let expected =
        json!({"default": ["rivers:read"], "vault": ["rivers:read", "table://vault.eu"]});
    assert_eq!(grants(&world, &minted).await, expected);
    // For a token with one audience, nothing is ambiguous and nothing is lost.
    assert_eq!(grants(&world, &alone).await, json!({"default": ["boats:read", "rivers:read"]}));
    let doubts = world.authority.tokens().unread_scopes(&world.operator()).await.unwrap();
    let told: Vec<_> = doubts.iter().map(|doubt| (doubt.scope.as_str(), doubt.doubt)).collect();
    assert_eq!(told, [("boats:read", Doubt::Undeclared), ("table://else", Doubt::Undeclared)]);
    let owner: OpContext = world.person("bob", Some(("workspace-1", "admin"))).await;
    let refused = world.authority.tokens().unread_scopes(&owner).await;
    assert_eq!(code(refused), ProblemCode::Forbidden);
}

#[sqlx::test(migrations = false)]
async fn scope_removed_by_a_0_1_server_is_gone_from_the_pairs(pool: PgPool) {
    let world = with_vault(pool).await;
    let minted = mint(&world, &["vault/tokens:write", "vault/rivers:read", "tessera/verify"]).await;
    for (flat, expected) in [
        (
            &["tokens:write", "verify"][..],
            json!({"tessera": ["verify"], "vault": ["tokens:write"]}),
        ),
        // A scope that another one of the same audience implies may be kept in its place.
        (&["tokens:list", "verify"], json!({"tessera": ["verify"], "vault": ["tokens:list"]})),
        (&["verify"], json!({"tessera": ["verify"], "vault": []})),
    ] {
        sqlx::query("UPDATE tokens SET scopes = $2, version = version + 1 WHERE id = $1")
            .bind(minted.token.id.0)
            .bind(flat)
            .execute(&world.pool)
            .await
            .unwrap();
        assert_eq!(grants(&world, &minted).await, expected);
        let granted = may(&world, &minted, "vault", "tokens:list").await;
        assert_eq!(granted, flat.len() == 2, "{flat:?}");
        assert!(!may(&world, &minted, "vault", "rivers:read").await);
        assert!(!may(&world, &minted, "tessera", "tokens:write").await);
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/0.1").join(name)
}

#[sqlx::test(migrations = false)]
async fn tokens_of_0_1_are_read_as_pairs_and_doubts_are_reported(pool: PgPool) {
    drop_tables(&pool).await;
    Migrator::new(fixture("migrations")).await.unwrap().run(&pool).await.unwrap();
    let data = fs::read_to_string(fixture("data.sql")).unwrap();
    sqlx::raw_sql(AssertSqlSafe(data)).execute(&pool).await.unwrap();
    let keys = Keys::from_toml(&fs::read_to_string(fixture("keys.toml")).unwrap()).unwrap();
    let world = World::restored(pool, keys, datetime!(2026-11-28 12:00 UTC)).await;
    assert_eq!(unread(&world).await, 0);
    let ctx = world.operator();
    let tokens = world.authority.tokens();
    let page = tokens.list(&ctx, &slug("workspace-1"), &TokenQuery::default()).await.unwrap();
    let named = |name: &str| page.items.iter().find(|token| token.name == name).unwrap();
    for (name, expected) in [
        ("plain", json!({"default": ["rivers:read"]})),
        ("two-audiences", json!({"default": ["rivers:read"], "vault": ["secrets:read"]})),
        ("pattern", json!({"vault": ["table://vault.eu.*"]})),
        ("ambiguous", json!({"tessera": ["verify"], "vault": ["tokens:write"]})),
    ] {
        assert_eq!(json!(named(name).grants), expected, "{name}");
    }
    let doubts = tokens.unread_scopes(&ctx).await.unwrap();
    assert_eq!(doubts.len(), 1);
    assert_eq!((&*doubts[0].name, &*doubts[0].scope), ("ambiguous", "tokens:write"));
    // Setting the token's grants explicitly resolves the doubts.
    let grants = serde_json::from_value(json!(named("ambiguous").grants)).unwrap();
    let patch = TokenPatch { grants: Some(grants), ..TokenPatch::default() };
    tokens.update(&ctx, named("ambiguous").id, None, patch).await.unwrap();
    assert!(tokens.unread_scopes(&ctx).await.unwrap().is_empty());
}

#[sqlx::test(migrations = false)]
async fn member_grants_name_an_audience_if_a_scope_name_is_ambiguous(pool: PgPool) {
    let world = with_vault(pool).await;
    let owner = world.owner().await;
    let bob = world.person("bob", Some(("workspace-1", "admin"))).await;
    let workspaces = world.authority.workspaces();
    let members = workspaces.members(&owner, &slug("workspace-1")).await.unwrap();
    let id = members.iter().find(|member| member.user.name == "bob").unwrap().user.id;
    let set = async |patterns: &[&str]| {
        let patterns = patterns.iter().map(ToString::to_string).collect();
        let change =
            MemberChange { grants: GrantsChange::Patterns(patterns), ..MemberChange::default() };
        workspaces.change_member(&owner, &slug("workspace-1"), id, change, None).await
    };
    for ambiguous in ["tokens:write", "tokens:*"] {
        assert_eq!(code(set(&[ambiguous]).await), ProblemCode::ValidationFailed, "{ambiguous}");
    }
    let member = set(&["vault/tokens:*", "verify", "default/*"]).await.unwrap();
    assert_eq!(json!(member.member.grants), json!(["default/*", "vault/tokens:*", "verify"]));
    let tokens = world.authority.tokens();
    let make =
        async |pair: &str| tokens.create(&bob, &slug("workspace-1"), granting(&[pair])).await;
    let minted = make("vault/tokens:write").await.unwrap();
    assert!(make("tessera/verify").await.is_ok());
    assert!(make("default/teams:write").await.is_ok());
    assert_eq!(code(make("tessera/tokens:write").await), ProblemCode::ValidationFailed);
    assert_eq!(code(make("vault/rivers:read").await), ProblemCode::ValidationFailed);
    assert!(may(&world, &minted, "vault", "tokens:write").await);
    // A 0.1 server reads the patterns without an audience, and what it writes counts.
    let flat: Vec<String> = sqlx::query_scalar("SELECT grants FROM memberships WHERE user_id = $1")
        .bind(id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(flat, ["verify"]);
    sqlx::query("UPDATE memberships SET grants = '{rivers:read}' WHERE user_id = $1")
        .bind(id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    assert!(!may(&world, &minted, "vault", "tokens:write").await);
    assert!(make("vault/rivers:read").await.is_ok());
}

#[sqlx::test(migrations = false)]
async fn grants_without_an_audience_do_not_grow_into_new_scopes_of_other_audiences(pool: PgPool) {
    let world = World::founded(pool).await;
    let home = slug("workspace-1");
    let member = world.person("member", Some(("workspace-1", "admin"))).await;
    let Actor::User(visitor) = &member.actor else { unreachable!() };
    let workspaces = world.authority.workspaces();
    let give = async |grants: &[&str]| {
        let grants = GrantsChange::Patterns(grants.iter().map(ToString::to_string).collect());
        let change = MemberChange { role: None, grants, ..MemberChange::default() };
        let changed =
            workspaces.change_member(&world.operator(), &home, visitor.user.id, change, None).await;
        changed.unwrap();
    };
    let held = async || {
        let member = workspaces.member(&world.operator(), &home, visitor.user.id).await.unwrap();
        json!(member.grants)
    };
    let ask = async |pair: &str| {
        let asked = world.authority.tokens().create(&member, &home, granting(&[pair])).await;
        asked.map(drop)
    };
    let flat = ["boats:read", "rivers:*", "teams:read", "tokens:write", "users:*"];
    give(&flat).await;
    let (admin, guest) = (
        world.person("admin", Some(("workspace-1", "admin"))).await,
        world.person("guest", None).await,
    );
    let invited = NewMember {
        user: "guest@example.com".into(),
        role: domain::roles::WorkspaceRole::Member,
        grants: Some(vec!["tokens:write".into(), "users:*".into()]),
    };
    let Added::Invited(invitation) = workspaces.add_member(&admin, &home, invited).await.unwrap()
    else {
        panic!("not invited")
    };
    load(&world, VAULT).await;
    assert_eq!(
        held().await,
        json!(["boats:read", "default/rivers:*", "teams:read", "tessera/tokens:write", "users:*"]),
        "what the catalogue concerns"
    );
    for pair in ["vault/tokens:write", "vault/tokens:list", "vault/rivers:read"] {
        assert_eq!(code(ask(pair).await), ProblemCode::ValidationFailed, "{pair}");
    }
    for pair in ["tessera/tokens:write", "default/rivers:read", "default/teams:read"] {
        ask(pair).await.unwrap();
    }
    let accepted = world.authority.invitations().accept(&guest, invitation.id).await.unwrap();
    assert_eq!(json!(accepted.grants), json!(["tessera/tokens:write", "users:*"]));
    // A scope that one audience loses does not turn into a scope of another.
    let (default, teams) = ("default".parse().unwrap(), "teams:read".parse().unwrap());
    let catalogues = world.authority.catalogues();
    let operator = world.operator();
    catalogues.retire_scope(&operator, &default, &teams, false, None).await.unwrap();
    assert_eq!(held().await[2], "default/teams:read");
    load(&world, &VAULT.replace("rivers:read", "teams:read")).await;
    assert_eq!(code(ask("vault/teams:read").await), ProblemCode::ValidationFailed);
    catalogues.unretire_scope(&operator, &default, &teams, None).await.unwrap();
    ask("default/teams:read").await.unwrap();
    // A pattern refers to the first audience that has a granted scope, and not to a second one.
    load(&world, &VAULT.replace("rivers:read", "boats:read")).await;
    ask("vault/boats:read").await.unwrap();
    let other = VAULT.replace("\"vault\"", "\"other\"").replace("rivers:read", "boats:read");
    let other = other.replace("table://", "level://");
    load(&world, &other).await;
    assert_eq!(code(ask("other/boats:read").await), ProblemCode::ValidationFailed);
    ask("vault/boats:read").await.unwrap();
    // An exact URI may be covered by a pattern.
    let vault = VAULT.replace("rivers:read", "boats:read");
    load(&world, &vault.replace("table://vault.**", "table://**")).await;
    give(&["table://vault.eu.*"]).await;
    ask("vault/table://vault.eu.x").await.unwrap();
    load(&world, &other.replace("level://vault.**", "table://*.eu.*")).await;
    assert_eq!(held().await, json!(["vault/table://vault.eu.*"]));
    assert_eq!(code(ask("other/table://vault.eu.x").await), ProblemCode::ValidationFailed);
    let pinned: Vec<Value> = sqlx::query_scalar(
        "SELECT after->'grants_pinned' FROM audit_events WHERE after ? 'grants_pinned' ORDER BY id",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(pinned[0][0]["user"], "member@example.com");
    assert_eq!(pinned[0][1]["invitation"], invitation.id.to_string());
}
