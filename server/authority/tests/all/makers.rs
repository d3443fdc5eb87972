//! Tokens as clients of other products create them: without a name, disabled, or already expired.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand, draft, slug};
use authority::{NewWorkspace, OpContext, PolicyLevel, ServiceError, TokenDraft, TokenPatch};
use domain::{
    decision::DecisionCode,
    expiry::ExpiryChoice,
    names::{AudienceSlug, TOKEN_NAME_MAX},
    policy::PolicyRules,
    problem::ProblemCode,
    token_query::TokenQuery,
};
use sqlx::PgPool;
use time::Duration;

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

async fn set_policy(world: &World, rules: PolicyRules) {
    let level = PolicyLevel::Workspace(slug("workspace-1"));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
}

async fn offer(world: &World, ctx: &OpContext, audiences: &[&str]) -> Vec<String> {
    let audiences: Vec<AudienceSlug> = audiences.iter().map(|slug| slug.parse().unwrap()).collect();
    let scopes = world.authority.tokens().offer(ctx, &slug("workspace-1"), &audiences).await;
    scopes.unwrap().scopes().into_iter().map(ToString::to_string).collect()
}

#[sqlx::test(migrations = false)]
async fn token_created_disabled_works_only_once_enabled(pool: PgPool) {
    let world = World::founded(pool).await;
    let owner = world.owner().await;
    let wish = TokenDraft { disabled: true, ..draft(&["rivers:read"]) };
    let minted = world.mint(&owner, "workspace-1", wish).await;
    assert!(!minted.token.enabled && !minted.token.active);
    let ask = demand("default", &["rivers:read"]);
    assert_eq!(world.decide(minted.secret.expose(), &ask).await, DecisionCode::Disabled);
    let patch = TokenPatch { enabled: Some(true), ..TokenPatch::default() };
    let token =
        world.authority.tokens().update(&owner, minted.token.id, None, patch).await.unwrap();
    assert!(token.active && token.version == minted.token.version + 1);
    assert_eq!(world.decide(minted.secret.expose(), &ask).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn patch_of_record_and_switch_is_one_change_with_two_audit_rows(pool: PgPool) {
    let world = World::founded(pool).await;
    let owner = world.owner().await;
    let token = world.token("default", &["rivers:read"]).await.token;
    let update = async |patch| world.authority.tokens().update(&owner, token.id, None, patch).await;
    let both = || TokenPatch {
        description: Some("off".into()),
        enabled: Some(false),
        ..TokenPatch::default()
    };
    let changed = update(both()).await.unwrap();
    assert!(!changed.enabled && changed.description.as_ref() == "off");
    // Repeating the update changes and records nothing.
    assert_eq!(update(both()).await.unwrap(), changed);
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit_events WHERE subject_id = $1 ORDER BY id")
            .bind(token.id.0)
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(actions, ["token.create", "token.update", "token.disable"]);
    // An invalid record leaves the token disabled.
    let wrong = TokenPatch {
        description: Some("a\0b".into()),
        enabled: Some(true),
        ..TokenPatch::default()
    };
    assert_eq!(code(update(wrong).await), ProblemCode::ValidationFailed);
    assert!(!world.authority.tokens().show(&owner, token.id).await.unwrap().enabled);
}

#[sqlx::test(migrations = false)]
async fn past_end_is_accepted_only_on_explicit_request(pool: PgPool) {
    let world = World::founded(pool).await;
    let owner = world.owner().await;
    let past = crate::support::START - Duration::days(400);
    let tokens = world.authority.tokens();
    let refused = TokenDraft { expiry: Ok(ExpiryChoice::At(past)), ..draft(&["rivers:read"]) };
    let refused = tokens.create(&owner, &slug("workspace-1"), refused).await;
    assert_eq!(code(refused), ProblemCode::ValidationFailed);
    let over = TokenDraft { expiry: Ok(ExpiryChoice::Exactly(past)), ..draft(&["rivers:read"]) };
    let over = world.mint(&owner, "workspace-1", over).await;
    assert_eq!((over.token.expires_at, over.token.active), (Some(past), false));
    let ask = demand("default", &["rivers:read"]);
    assert_eq!(world.decide(over.secret.expose(), &ask).await, DecisionCode::Expired);

    let token = world.token("default", &["rivers:read"]).await;
    assert_eq!(world.decide(token.secret.expose(), &ask).await, DecisionCode::Valid);
    let patch =
        TokenPatch { expiry: Some(Ok(ExpiryChoice::Exactly(past))), ..TokenPatch::default() };
    tokens.update(&owner, token.token.id, None, patch).await.unwrap();
    assert_eq!(world.decide(token.secret.expose(), &ask).await, DecisionCode::Expired);
}

#[sqlx::test(migrations = false)]
async fn nameless_tokens_get_numbers_if_names_must_be_unique(pool: PgPool) {
    let world = World::founded(pool).await;
    let owner = world.owner().await;
    let wish =
        |name: &str| TokenDraft { name: name.into(), number_name: true, ..draft(&["rivers:read"]) };
    let home = slug("workspace-1");
    let tokens = world.authority.tokens();
    let make = async |name: &str| tokens.create(&owner, &home, wish(name)).await;
    // If names may repeat, they are kept as they are.
    for _ in 0..2 {
        assert_eq!(make("ci").await.unwrap().token.name, "ci");
    }
    set_policy(&world, PolicyRules { unique_names: Some(true), ..PolicyRules::default() }).await;
    for number in 2..=9 {
        assert_eq!(make("CI").await.unwrap().token.name, format!("CI {number}"));
    }
    let tenth = make("ci").await.unwrap().token;
    assert_eq!(tenth.name, format!("ci {}", tenth.id.0.simple()));
    let long = "é".repeat(TOKEN_NAME_MAX);
    assert_eq!(make(&long).await.unwrap().token.name, long);
    let second = make(&long).await.unwrap().token.name;
    assert_eq!(second, format!("{} 2", "é".repeat(TOKEN_NAME_MAX - 2)));
    // A caller that chose the name itself gets an error.
    let chosen = TokenDraft { name: "ci".into(), ..draft(&["rivers:read"]) };
    assert_eq!(code(tokens.create(&owner, &home, chosen).await), ProblemCode::AlreadyExists);

    let rules = PolicyRules {
        unique_names: Some(true),
        name_pattern: Some("[a-z]+".into()),
        ..PolicyRules::default()
    };
    set_policy(&world, rules).await;
    assert_eq!(make("fresh").await.unwrap().token.name, "fresh");
    assert_eq!(
        code(make("fresh").await),
        ProblemCode::ValidationFailed,
        "\"fresh 2\" is not a name"
    );
}

#[sqlx::test(migrations = false)]
async fn offer_lists_exactly_what_creating_accepts(pool: PgPool) {
    let world = World::founded(pool).await;
    let owner = world.owner().await;
    let all = offer(&world, &owner, &["default", "tessera"]).await;
    for scope in ["rivers:run", "rivers:write", "tokens:write", "policy:write"] {
        assert!(all.iter().any(|name| name == scope), "{scope} in {all:?}");
    }
    assert!(!offer(&world, &owner, &["default"]).await.contains(&"tokens:write".to_owned()));
    assert_eq!(offer(&world, &owner, &[]).await, [""; 0]);
    let wish = TokenDraft {
        audiences: vec!["default".into(), "tessera".into()],
        scopes: all.clone(),
        ..TokenDraft::default()
    };
    let wish = TokenDraft { name: "all".into(), ..wish };
    assert_eq!(world.mint(&owner, "workspace-1", wish).await.token.scopes.len(), all.len());

    // For a token: the scopes that it holds, and those that they imply.
    let asks = TokenDraft {
        audiences: vec!["default".into(), "tessera".into()],
        ..draft(&["tokens:write", "rivers:write"])
    };
    let asks = world.mint(&owner, "workspace-1", asks).await;
    let asks = world.bearer(&asks).await;
    assert_eq!(
        offer(&world, &asks, &["default", "tessera"]).await,
        ["rivers:read", "rivers:write", "tokens:read", "tokens:write"]
    );
    assert_eq!(offer(&world, &asks, &["default"]).await, ["rivers:read", "rivers:write"]);

    // For a member: the scopes that their membership grants.
    let rules = PolicyRules { self_service: Some(true), ..PolicyRules::default() };
    set_policy(&world, rules).await;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    world
        .execute(
            "UPDATE memberships SET grants = '{connections:*,rivers:read}' WHERE role = 'member'",
        )
        .await;
    assert_eq!(
        offer(&world, &member, &["default", "tessera"]).await,
        ["connections:read", "connections:write", "rivers:read"]
    );
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    let refused = world.authority.tokens().offer(&viewer, &slug("workspace-1"), &[]).await;
    assert_eq!(code(refused), ProblemCode::Forbidden);
}

#[sqlx::test(migrations = false)]
async fn parts_of_patterns_are_offered_to_tokens_that_hold_them(pool: PgPool) {
    let world = World::founded(pool).await;
    let owner = world.owner().await;
    let preset = domain::preset::Preset::Devo;
    let policies = world.authority.policies();
    policies.apply_preset(&owner, &PolicyLevel::Instance, preset, None).await.unwrap();
    world
        .execute(
            "INSERT INTO scopes (audience_id, name, description, risk, implies, group_name, group_description, position)
             SELECT id, 'table://my.**', '', 'read', '{}', 'Tables', '', 99 FROM audiences WHERE slug = 'apiv2'",
        )
        .await;
    let asks = TokenDraft {
        audiences: vec!["apiv2".into(), "tessera".into()],
        ..draft(&["tokens:write", "table://my.app.*"])
    };
    let asks = world.mint(&owner, "workspace-1", asks).await;
    let asks = world.bearer(&asks).await;
    assert_eq!(offer(&world, &asks, &["apiv2"]).await, ["table://my.app.*"]);
    assert!(offer(&world, &owner, &["apiv2"]).await.contains(&"table://my.**".to_owned()));
}

#[sqlx::test(migrations = false)]
async fn home_is_the_tokens_own_workspace_and_a_persons_first(pool: PgPool) {
    let world = World::founded(pool).await;
    let home = async |ctx: &OpContext| {
        world.authority.workspaces().home(ctx).await.map(|slug| slug.to_string())
    };
    world.pass(Duration::days(1));
    // By name, this workspace would come first.
    for name in ["alpha", "beta"] {
        let workspace = NewWorkspace { slug: Some(name.into()), name: name.into() };
        world.authority.workspaces().create(&world.operator(), workspace).await.unwrap();
        world.pass(Duration::days(1));
    }
    let owner = world.owner().await;
    assert_eq!(home(&owner).await.unwrap(), "workspace-1");
    let elsewhere = world.mint(&owner, "beta", draft(&["rivers:read"])).await;
    assert_eq!(home(&world.bearer(&elsewhere).await).await.unwrap(), "beta");

    let person = world.person("member", Some(("alpha", "viewer"))).await;
    assert_eq!(home(&person).await.unwrap(), "alpha");
    // Workspaces where they may create tokens come before workspaces that they joined earlier.
    world.join("member@example.com", "beta", "admin").await;
    assert_eq!(home(&person).await.unwrap(), "beta");

    let nobody = world.person("stranger", None).await;
    assert_eq!(code(home(&nobody).await), ProblemCode::Forbidden);
    assert_eq!(code(home(&world.anonymous()).await), ProblemCode::Unauthenticated);
}

#[sqlx::test(migrations = false)]
async fn list_of_all_members_is_for_callers_who_may_see_them(pool: PgPool) {
    let world = World::founded(pool).await;
    let rules = PolicyRules { self_service: Some(true), ..PolicyRules::default() };
    set_policy(&world, rules).await;
    world.token("default", &["rivers:read"]).await;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    let all = async |ctx: &OpContext| {
        let query = TokenQuery::default();
        let tokens = world.authority.tokens();
        tokens
            .list_of_everybody(ctx, &slug("workspace-1"), &query)
            .await
            .map(|page| page.items.len())
    };
    assert_eq!(all(&viewer).await.unwrap(), 1);
    assert_eq!(code(all(&member).await), ProblemCode::Forbidden);
    let own = TokenDraft { audiences: vec!["tessera".into()], ..draft(&["tokens:read"]) };
    let own = world.mint(&member, "workspace-1", own).await;
    assert_eq!(code(all(&world.bearer(&own).await).await), ProblemCode::InsufficientScope);
}
