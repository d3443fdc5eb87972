//! A token between creation and end: enabled and disabled, changed, shrunk, handed over, expired,
//! cloned, revealed and deleted, one or many at a time.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{START, World, demand, draft, slug};
use authority::{
    BulkAction, Edit, MintedToken, OpContext, Recoverable, RotationDraft, ServiceError, TokenDraft,
    TokenPatch,
};
use domain::{
    decision::{DecisionCode, Demand},
    expiry,
    ids::TokenId,
    problem::ProblemCode,
    token::{Token, TokenState},
    token_query::TokenQuery,
};
use sqlx::PgPool;
use time::Duration;
use uuid::Uuid;

const HOME: &str = "workspace-1";

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

/// Returns the invalid fields, with their messages.
fn faults<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Vec<String> {
    match outcome {
        Err(ServiceError::Invalid(errors)) => {
            errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn actions(world: &World) -> Vec<String> {
    let operator = world.operator();
    let events = world.authority.audit().recent(&operator, &slug(HOME), 50).await.unwrap();
    events.into_iter().rev().map(|event| event.action).collect()
}

async fn revisions(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM revisions").fetch_one(&world.pool).await.unwrap()
}

/// Returns a context at the current time of the clock.
async fn ada(world: &World) -> OpContext {
    world.owner().await
}

async fn allow_recoverable(world: &World) {
    world
        .execute(
            "INSERT INTO policies (id, reveal, updated_at)
             VALUES (gen_random_uuid(), 'recoverable_allowed', now())",
        )
        .await;
}

fn patch(change: impl FnOnce(&mut TokenPatch)) -> TokenPatch {
    let mut patch = TokenPatch::default();
    change(&mut patch);
    patch
}

#[sqlx::test(migrations = false)]
async fn state_follows_switch_end_and_start(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, text) = (minted.token.id, minted.secret.expose());
    let decided = async || world.decide(text, &Demand::default()).await;
    let ada = ada(&world).await;
    let before = revisions(&world).await;

    let token = tokens.disable(&ada, id, None).await.unwrap();
    assert_eq!((token.state, token.active, token.version), (TokenState::Disabled, false, 2));
    assert_eq!(decided().await, DecisionCode::Disabled);
    let token = tokens.expire(&ada, id, None).await.unwrap();
    assert_eq!(token.state, TokenState::Expired, "expired, enabled or not");
    assert_eq!(decided().await, DecisionCode::Expired);
    let token = tokens.enable(&ada, id, None).await.unwrap();
    assert_eq!((token.state, token.enabled), (TokenState::Expired, true));
    assert_eq!(decided().await, DecisionCode::Expired, "enabling does not revive");
    let listed = tokens.list(&ada, &slug(HOME), &TokenQuery::default()).await.unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&token), "an expired token stays listed");

    let later = patch(|patch| patch.expiry = Some(expiry::parse("7d")));
    let token = tokens.update(&ada, id, None, later).await.unwrap();
    assert_eq!((token.state, token.version), (TokenState::Active, 5));
    assert_eq!(decided().await, DecisionCode::Valid);
    let moment = "2026-01-03T00:00:00Z".to_owned();
    let scheduled = patch(|patch| patch.not_before = Edit::Set(moment));
    let token = tokens.update(&ada, id, None, scheduled).await.unwrap();
    assert_eq!(token.state, TokenState::Scheduled);
    assert_eq!(decided().await, DecisionCode::NotYetValid);
    let token = tokens.expire(&ada, id, None).await.unwrap();
    assert_eq!((token.state, token.not_before), (TokenState::Expired, None));
    assert_eq!(revisions(&world).await - before, 6, "every change of facts leaves a revision");
}

#[sqlx::test(migrations = false)]
async fn change_without_effect_writes_nothing(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let id = world.token("default", &["rivers:read"]).await.token.id;
    let ada = ada(&world).await;
    let before = actions(&world).await;
    let enabled = tokens.enable(&ada, id, None).await.unwrap();
    let same = patch(|patch| {
        patch.name = Some(" ci ".into());
        patch.scopes = Some(vec!["rivers:read".into()]);
        patch.user = Some(crate::support::OWNER.into());
    });
    assert_eq!(tokens.update(&ada, id, None, same).await.unwrap(), enabled);
    assert_eq!(tokens.end_grace(&ada, id, None).await.unwrap(), enabled);
    assert_eq!(enabled.version, 1);
    assert_eq!(actions(&world).await, before);
    tokens.disable(&ada, id, None).await.unwrap();
    tokens.disable(&ada, id, None).await.unwrap();
    tokens.expire(&ada, id, None).await.unwrap();
    tokens.expire(&ada, id, None).await.unwrap();
    assert_eq!(actions(&world).await[before.len()..], ["token.disable", "token.expire"]);
}

#[sqlx::test(migrations = false)]
async fn stale_version_is_refused_by_every_operation(pool: PgPool) {
    let world = World::founded(pool).await;
    allow_recoverable(&world).await;
    let tokens = world.authority.tokens();
    let ada = ada(&world).await;
    let recoverable = TokenDraft { recoverable: Recoverable::Yes, ..draft(&["rivers:read"]) };
    let id = world.mint(&ada, HOME, recoverable).await.token.id;
    let current = tokens.disable(&ada, id, Some(1)).await.unwrap();
    let stale = Some(1);
    let name = patch(|patch| patch.name = Some("x".into()));
    let codes = [
        code(tokens.enable(&ada, id, stale).await),
        code(tokens.disable(&ada, id, stale).await),
        code(tokens.expire(&ada, id, stale).await),
        code(tokens.update(&ada, id, stale, name).await),
        code(tokens.rotate(&ada, id, stale, RotationDraft::default()).await),
        code(tokens.end_grace(&ada, id, stale).await),
        code(tokens.reveal(&ada, id, stale).await),
        code(tokens.clone_of(&ada, id, stale, "copy".into()).await),
        code(tokens.delete(&ada, id, stale).await),
    ];
    assert_eq!(codes, [ProblemCode::PreconditionFailed; 9]);
    assert_eq!(tokens.show(&ada, id).await.unwrap(), current);
    tokens.delete(&ada, id, Some(current.version)).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn record_changes_as_requested_and_every_error_is_reported(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let minted = world.token("default", &["rivers:write"]).await;
    let id = minted.token.id;
    world.pass(Duration::hours(1));
    let ada = ada(&world).await;
    let all = patch(|patch| {
        patch.name = Some("renamed".into());
        patch.description = Some("What for".into());
        patch.ip_allow = Some(vec!["10.1.2.3/8".into()]);
        patch.tags = Some([("team".to_owned(), "payments".to_owned())].into());
    });
    let token = tokens.update(&ada, id, Some(1), all).await.unwrap();
    let expected = Token {
        name: "renamed".into(),
        description: "What for".parse().unwrap(),
        ip_allow: vec!["10.0.0.0/8".parse().unwrap()],
        tags: token.tags.clone(),
        updated_at: START + Duration::hours(1),
        version: 2,
        ..minted.token
    };
    assert_eq!(token, expected);
    assert_eq!(token.tags.iter().collect::<Vec<_>>(), [("team", "payments")]);
    let wrong = patch(|patch| {
        patch.name = Some(String::new());
        patch.description = Some("a\0".into());
        patch.user = Some("nobody@example.com".into());
        patch.scopes = Some(vec![]);
        patch.expiry = Some(expiry::parse("2020-01-01"));
        patch.not_before = Edit::Set("tomorrow".into());
        patch.ip_allow = Some(vec!["x".into()]);
        patch.tags = Some([(String::new(), String::new())].into());
    });
    let fields: Vec<String> = faults(tokens.update(&ada, id, None, wrong).await)
        .iter()
        .map(|fault| fault.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        fields,
        ["name", "description", "scopes", "expires_at", "not_before", "ip_allow", "tags", "user"]
    );
    assert_eq!(tokens.show(&ada, id).await.unwrap(), token);
}

#[sqlx::test(migrations = false)]
async fn scopes_can_only_be_removed(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let minted = world.token("default", &["rivers:run", "rivers:write"]).await;
    let (id, text) = (minted.token.id, minted.secret.expose());
    let ada = ada(&world).await;
    let to = |scopes: &[&str]| {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        tokens.update(&ada, id, None, TokenPatch { scopes: Some(scopes), ..TokenPatch::default() })
    };
    for wider in [&["teams:read"][..], &["rivers:run", "teams:write"], &["tokens:read"], &["*"]] {
        let told = faults(to(wider).await);
        assert!(told[0].ends_with("scopes can only be removed"), "{told:?}");
    }
    // Implied scopes are held already.
    let token = to(&["rivers:read", "rivers:run"]).await.unwrap();
    assert_eq!(
        token.scopes.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["rivers:read", "rivers:run"]
    );
    let write = demand("default", &["rivers:write"]);
    assert_eq!(world.decide(text, &write).await, DecisionCode::InsufficientScope);
    faults(to(&["rivers:write"]).await);
    to(&["rivers:read"]).await.unwrap();
    faults(to(&["rivers:run"]).await);
    faults(to(&[]).await);
}

#[sqlx::test(migrations = false)]
async fn end_cannot_be_moved_beyond_policy(pool: PgPool) {
    let world = World::founded(pool).await;
    world
        .execute(
            "INSERT INTO policies (id, workspace_id, max_ttl_s, updated_at)
             SELECT gen_random_uuid(), id, 864000, now() FROM workspaces",
        )
        .await;
    let tokens = world.authority.tokens();
    let id = world.token("default", &["rivers:read"]).await.token.id;
    world.pass(Duration::days(9));
    let ada = ada(&world).await;
    let to = |text: &str| {
        let expiry = Some(expiry::parse(text));
        tokens.update(&ada, id, None, TokenPatch { expiry, ..TokenPatch::default() })
    };
    assert!(faults(to("2d").await)[0].contains("not be later than 2026-01-12T12:00:00Z"));
    assert!(faults(to("never").await)[0].contains("must expire"));
    assert!(faults(to("2026-01-02").await)[0].contains("future"));
    assert_eq!(to("12h").await.unwrap().expires_at, Some(START + Duration::hours(9 * 24 + 12)));
    assert_eq!(to("1d").await.unwrap().expires_at, Some(START + Duration::days(10)));
    // A new secret starts a new lifetime.
    tokens.rotate(&ada, id, None, RotationDraft::default()).await.unwrap();
    assert_eq!(to("10d").await.unwrap().expires_at, Some(START + Duration::days(19)));
}

#[sqlx::test(migrations = false)]
async fn renamed_token_keeps_names_unique_if_policy_says_so(pool: PgPool) {
    let world = World::founded(pool).await;
    world
        .execute(
            "INSERT INTO policies (id, unique_names, updated_at) VALUES (gen_random_uuid(), true, now())",
        )
        .await;
    let tokens = world.authority.tokens();
    let ada = ada(&world).await;
    let one = world.token("default", &["rivers:read"]).await.token.id;
    let two = TokenDraft { name: "two".into(), ..draft(&["rivers:read"]) };
    world.mint(&ada, HOME, two).await;
    let to = |name: &str| TokenPatch { name: Some(name.into()), ..TokenPatch::default() };
    assert_eq!(code(tokens.update(&ada, one, None, to("TWO")).await), ProblemCode::AlreadyExists);
    assert_eq!(tokens.update(&ada, one, None, to("CI")).await.unwrap().name, "CI");
    assert_eq!(
        code(tokens.clone_of(&ada, one, None, "ci".into()).await),
        ProblemCode::AlreadyExists
    );
}

#[sqlx::test(migrations = false)]
async fn token_is_handed_over_only_to_users_it_could_be_created_for(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    world.person("member", Some((HOME, "member"))).await;
    world.person("stranger", None).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let ada = ada(&world).await;
    let to = |user: &str| TokenPatch { user: Some(user.into()), ..TokenPatch::default() };
    let id = minted.token.id;
    for user in ["stranger@example.com", "nobody@example.com", ""] {
        assert_eq!(
            code(tokens.update(&ada, id, None, to(user)).await),
            ProblemCode::ValidationFailed
        );
    }
    let token = tokens.update(&ada, id, None, to("member@example.com")).await.unwrap();
    assert_eq!(
        (token.user.name.as_str(), token.created_by.unwrap().name.as_str()),
        ("member", "Ada")
    );
    let text = minted.secret.expose();
    assert_eq!(world.decide(text, &Demand::default()).await, DecisionCode::Valid);
    world.execute("DELETE FROM memberships WHERE role = 'member'").await;
    assert_eq!(world.decide(text, &Demand::default()).await, DecisionCode::OwnerDisabled);
    // An administrator of the workspace only cannot make it act as the instance's owner.
    let admin = world.person("administrator", Some((HOME, "admin"))).await;
    let owner = tokens.update(&admin, id, None, to(crate::support::OWNER)).await;
    assert!(faults(owner)[0].starts_with("user is an instance administrator"));
    tokens.update(&admin, id, None, to("administrator@example.com")).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn secret_of_a_more_powerful_token_is_refused_to_callers_who_could_not_create_it(
    pool: PgPool,
) {
    let world = World::founded(pool).await;
    allow_recoverable(&world).await;
    let tokens = world.authority.tokens();
    let ada = ada(&world).await;
    let make = |audience: &str, scopes: &[&str], user: &str| TokenDraft {
        audiences: vec![audience.into()],
        user: Some(user.into()),
        recoverable: Recoverable::Yes,
        ..draft(scopes)
    };
    let admin = world.person("administrator", Some((HOME, "admin"))).await;
    let admins = "administrator@example.com";
    let rivers = world.mint(&ada, HOME, make("default", &["rivers:run"], admins)).await.token.id;
    let reader = world.mint(&ada, HOME, make("tessera", &["tokens:read"], admins)).await.token.id;
    let owners = world
        .mint(&ada, HOME, make("tessera", &["tokens:read"], crate::support::OWNER))
        .await
        .token
        .id;
    let manager = make("tessera", &["tokens:write", "tokens:reveal"], admins);
    let manager = world.bearer(&world.mint(&ada, HOME, manager).await).await;
    // By scopes: a token cannot get a secret of a token with scopes that it lacks.
    for id in [rivers, owners] {
        let outcomes = [
            code(tokens.rotate(&manager, id, None, RotationDraft::default()).await),
            code(tokens.reveal(&manager, id, None).await),
        ];
        assert_eq!(outcomes, [ProblemCode::Forbidden; 2]);
        let copy = tokens.clone_of(&manager, id, None, "copy".into()).await;
        assert_eq!(code(copy), ProblemCode::ValidationFailed);
    }
    // By user: a caller who does not manage the instance cannot get a secret that acts as a user
    // who does.
    for outcome in [
        tokens.rotate(&admin, owners, None, RotationDraft::default()).await,
        tokens.reveal(&admin, owners, None).await,
    ] {
        assert_eq!(code(outcome), ProblemCode::Forbidden);
    }
    for ctx in [&manager, &admin, &ada] {
        tokens.reveal(ctx, reader, None).await.unwrap();
        tokens.rotate(ctx, reader, None, RotationDraft::default()).await.unwrap();
        tokens.clone_of(ctx, reader, None, "copy".into()).await.unwrap();
    }
    tokens.reveal(&admin, rivers, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn recoverable_token_is_shown_again_to_permitted_callers_and_recorded_each_time(
    pool: PgPool,
) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let ada = ada(&world).await;
    let wish = TokenDraft { recoverable: Recoverable::Yes, ..draft(&["rivers:read"]) };
    let refused = tokens.create(&ada, &slug(HOME), wish.clone()).await;
    assert_eq!(faults(refused), ["recoverable is not allowed by the policy of this workspace"]);
    allow_recoverable(&world).await;
    let minted = world.mint(&ada, HOME, wish).await;
    let id = minted.token.id;
    assert!(minted.token.recoverable);
    let shown = tokens.reveal(&ada, id, None).await.unwrap();
    assert_eq!(shown.secret.expose(), minted.secret.expose());
    assert_eq!(shown.token, minted.token, "reading changes nothing");
    assert_eq!(actions(&world).await.last().unwrap(), "token.reveal");

    // Without the permission, the caller does not even learn whether it could be.
    let writer = TokenDraft {
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(&["tokens:write", "rivers:read"])
    };
    let writer = world.bearer(&world.mint(&ada, HOME, writer).await).await;
    let outcome = tokens.reveal(&writer, id, None).await;
    assert!(matches!(outcome, Err(ServiceError::InsufficientScope("tokens:reveal"))));
    let verifier = world.person("verifier", Some((HOME, "verifier"))).await;
    assert_eq!(code(tokens.reveal(&verifier, id, None).await), ProblemCode::NotFound);
    assert_eq!(
        code(tokens.reveal(&world.anonymous(), id, None).await),
        ProblemCode::Unauthenticated
    );
    let told = actions(&world).await;
    assert_eq!(told.iter().filter(|action| *action == "token.reveal").count(), 1);

    // The current secret is shown, but never an older one, nor that of a token that is
    // not recoverable.
    let draft_of_grace = RotationDraft { grace_s: Some(60), ..RotationDraft::default() };
    let rotated = tokens.rotate(&ada, id, None, draft_of_grace).await.unwrap();
    let shown = tokens.reveal(&ada, id, None).await.unwrap();
    assert_eq!(shown.secret.expose(), rotated.secret.expose());
    let plain = world.token("default", &["rivers:read"]).await.token.id;
    assert_eq!(code(tokens.reveal(&ada, plain, None).await), ProblemCode::NotRecoverable);

    // Without an audit row, the secret is not shown.
    world
        .execute("ALTER TABLE audit_events ADD CONSTRAINT audit_full CHECK (false) NOT VALID")
        .await;
    assert_eq!(code(tokens.reveal(&ada, id, None).await), ProblemCode::Internal);
}

#[sqlx::test(migrations = false)]
async fn sealed_secret_opens_only_in_its_own_row(pool: PgPool) {
    let world = World::founded(pool).await;
    allow_recoverable(&world).await;
    let tokens = world.authority.tokens();
    let ada = ada(&world).await;
    let wish = || TokenDraft { recoverable: Recoverable::Yes, ..draft(&["rivers:read"]) };
    let one = world.mint(&ada, HOME, wish()).await;
    let two = world.mint(&ada, HOME, wish()).await;
    // No stored data contains a secret, neither its text nor its random part.
    for minted in [&one, &two] {
        assert!(!stored(&world, &minted.secret.expose()[4..36]).await);
    }
    world
        .execute(
            "UPDATE token_secrets SET sealed = (SELECT sealed FROM token_secrets ORDER BY created_at, id LIMIT 1)",
        )
        .await;
    let outcomes = [
        tokens.reveal(&ada, one.token.id, None).await,
        tokens.reveal(&ada, two.token.id, None).await,
    ];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let failed = outcomes.into_iter().find(Result::is_err).unwrap();
    assert_eq!(code(failed), ProblemCode::Internal);
    // A copy within one token cannot be decrypted either, because it is bound to the row of the
    // secret itself.
    let rotated = tokens.rotate(&ada, two.token.id, None, RotationDraft::default()).await.unwrap();
    sqlx::query("UPDATE token_secrets SET id = gen_random_uuid() WHERE current AND token_id = $1")
        .bind(two.token.id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(code(tokens.reveal(&ada, rotated.token.id, None).await), ProblemCode::Internal);
    tokens.delete(&ada, one.token.id, None).await.unwrap();
    tokens.delete(&ada, two.token.id, None).await.unwrap();
    let sealed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM token_secrets WHERE sealed IS NOT NULL")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(sealed, 0, "a tombstone keeps digests, not secrets");
}

async fn stored(world: &World, text: &str) -> bool {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    for table in tables {
        // Also within bytes, which the text of a row shows in hexadecimal.
        let sql = format!(
            "SELECT count(*) FROM {table} t
              WHERE t::text LIKE '%' || $1 || '%' OR t::text LIKE '%' || encode($1::bytea, 'hex') || '%'"
        );
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(text)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        if found > 0 {
            return true;
        }
    }
    false
}

#[sqlx::test(migrations = false)]
async fn clone_has_the_same_values_and_its_own_lifetime(pool: PgPool) {
    let world = World::founded(pool).await;
    allow_recoverable(&world).await;
    let tokens = world.authority.tokens();
    let wish = TokenDraft {
        description: "What for".into(),
        audiences: vec!["default".into(), "tessera".into()],
        expiry: expiry::parse("10d"),
        not_before: Some("2026-01-05T00:00:00Z".into()),
        ip_allow: vec!["10.0.0.0/8".into()],
        recoverable: Recoverable::Yes,
        tags: [("team".to_owned(), "payments".to_owned())].into(),
        ..draft(&["rivers:run", "verify"])
    };
    let origin = world.mint(&ada(&world).await, HOME, wish).await.token;
    world.pass(Duration::days(1));
    let ada = ada(&world).await;
    let MintedToken { token, secret, .. } =
        tokens.clone_of(&ada, origin.id, Some(1), "copy".into()).await.unwrap();
    let expected = Token {
        id: token.id,
        num: token.num,
        name: "copy".into(),
        hint: token.hint.clone(),
        expires_at: Some(START + Duration::days(11)),
        created_at: START + Duration::days(1),
        updated_at: START + Duration::days(1),
        ..origin.clone()
    };
    assert_eq!(token, expected);
    assert_ne!(token.id, origin.id);
    // A clone of an expired token works.
    world.pass(Duration::days(30));
    let ada = world.owner().await;
    let token = tokens.clone_of(&ada, origin.id, None, "again".into()).await.unwrap().token;
    assert_eq!((token.state, token.not_before), (TokenState::Active, None));
    assert_eq!(world.decide(secret.expose(), &Demand::default()).await, DecisionCode::Expired);
}

#[sqlx::test(migrations = false)]
async fn deleted_token_refuses_every_operation(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let minted = world.token("default", &["rivers:read"]).await;
    let bearer = world.bearer(&minted).await;
    let id = minted.token.id;
    let ada = ada(&world).await;
    tokens.delete(&ada, id, None).await.unwrap();
    let name = patch(|patch| patch.name = Some("x".into()));
    let codes = [
        code(tokens.show(&ada, id).await),
        code(tokens.enable(&ada, id, None).await),
        code(tokens.disable(&ada, id, None).await),
        code(tokens.expire(&ada, id, None).await),
        code(tokens.update(&ada, id, None, name).await),
        code(tokens.rotate(&ada, id, None, RotationDraft::default()).await),
        code(tokens.end_grace(&ada, id, None).await),
        code(tokens.reveal(&ada, id, None).await),
        code(tokens.clone_of(&ada, id, None, "copy".into()).await),
        code(tokens.delete(&ada, id, None).await),
        // A caller who was authenticated a moment before.
        code(tokens.rotate_self(&bearer, None, RotationDraft::default()).await),
        code(tokens.delete_self(&bearer, None).await),
    ];
    assert_eq!(codes, [ProblemCode::NotFound; 12]);
    let text = minted.secret.expose();
    assert_eq!(world.decide(text, &Demand::default()).await, DecisionCode::Revoked);
    let kept: (String, bool) = sqlx::query_as(
        "SELECT t.name, EXISTS (SELECT FROM token_secrets s WHERE s.token_id = t.id) FROM tokens t",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(kept, ("ci".into(), true), "the name and the digest stay taken");
}

#[sqlx::test(migrations = false)]
async fn token_can_delete_itself_without_any_scope(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let bearer = world.bearer(&minted).await;
    let tokens = world.authority.tokens();
    assert_eq!(code(tokens.delete_self(&bearer, Some(9)).await), ProblemCode::PreconditionFailed);
    assert_eq!(tokens.delete_self(&bearer, None).await.unwrap().id, minted.token.id);
    let text = minted.secret.expose();
    assert_eq!(world.decide(text, &Demand::default()).await, DecisionCode::Revoked);
    let ada = ada(&world).await;
    assert_eq!(code(tokens.delete_self(&ada, None).await), ProblemCode::Unauthenticated);
    let events = world.authority.audit().recent(&ada, &slug(HOME), 1).await.unwrap();
    assert_eq!(
        (events[0].action.as_str(), events[0].actor.as_str()),
        ("token.delete", "ci (token of Ada)")
    );
}

#[sqlx::test(migrations = false)]
async fn every_token_of_a_bulk_change_has_its_own_result(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let tokens = world.authority.tokens();
    let ada = ada(&world).await;
    let one = world.token("default", &["rivers:read"]).await.token.id;
    let two = world.token("default", &["rivers:read"]).await.token.id;
    let foreign = world.mint(&ada, "other", draft(&["rivers:read"])).await.token.id;
    let unknown = TokenId(Uuid::from_u128(7));
    let ids = [one, foreign, unknown, two];
    let home = slug(HOME);
    for (action, state) in [
        (BulkAction::Disable, TokenState::Disabled),
        (BulkAction::Enable, TokenState::Active),
        (BulkAction::Expire, TokenState::Expired),
    ] {
        let outcomes = tokens.bulk(&ada, &home, action, &ids).await.unwrap();
        assert_eq!(outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>(), ids);
        let codes: Vec<_> = outcomes
            .into_iter()
            .map(|outcome| outcome.outcome.err().map(|error| error.code()))
            .collect();
        let missing = Some(ProblemCode::NotFound);
        assert_eq!(codes, [None, missing, missing, None]);
        for id in [one, two] {
            assert_eq!(tokens.show(&ada, id).await.unwrap().state, state);
        }
        assert_eq!(tokens.show(&ada, foreign).await.unwrap().version, 1, "another workspace");
    }
    tokens.bulk(&ada, &home, BulkAction::Delete, &[two]).await.unwrap();
    assert_eq!(code(tokens.show(&ada, two).await), ProblemCode::NotFound);
    for bad in [vec![], vec![one, one], (0..101).map(|n| TokenId(Uuid::from_u128(n))).collect()] {
        assert_eq!(faults(tokens.bulk(&ada, &home, BulkAction::Delete, &bad).await).len(), 1);
    }
    let reader = world.bearer(&world.token("tessera", &["tokens:read"]).await).await;
    let refused = tokens.bulk(&reader, &home, BulkAction::Delete, &[one]).await;
    assert_eq!(code(refused), ProblemCode::InsufficientScope);
    tokens.show(&ada, one).await.unwrap();
}
