//! Rotation: which secrets work when, which request wins a race, and what happens to a caller that
//! presents a secret after its expiry.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::sync::Arc;

use crate::support::{START, World, draft, rounds, slug, until};
use authority::{
    Edit, MintedToken, OpContext, RotationDraft, ServiceError, TokenDraft, TokenPatch,
};
use domain::{
    decision::{DecisionCode, Demand},
    expiry,
    ids::TokenId,
    problem::ProblemCode,
    token::{Token, TokenState},
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use time::Duration;
use tokio::sync::Barrier;

const HOME: &str = "workspace-1";

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn grace(seconds: i64) -> RotationDraft {
    RotationDraft { grace_s: Some(seconds), ..RotationDraft::default() }
}

fn until_first_use() -> RotationDraft {
    RotationDraft { until_first_use: true, ..RotationDraft::default() }
}

fn now() -> RotationDraft {
    RotationDraft::default()
}

/// Rotates as the owner, at the current time of the clock. Returns the record and the secret.
async fn rotate(world: &World, id: TokenId, draft: RotationDraft) -> (Token, String) {
    let ada = world.owner().await;
    let MintedToken { token, secret, .. } =
        world.authority.tokens().rotate(&ada, id, None, draft).await.unwrap();
    (token, secret.expose().to_owned())
}

async fn decide(world: &World, text: &str) -> DecisionCode {
    world.decide(text, &Demand::default()).await
}

async fn show(world: &World, id: TokenId) -> Token {
    world.authority.tokens().show(&world.owner().await, id).await.unwrap()
}

async fn actions(world: &World) -> Vec<String> {
    let operator = world.operator();
    let events = world.authority.audit().recent(&operator, &slug(HOME), 200).await.unwrap();
    events.into_iter().rev().map(|event| event.action).collect()
}

/// Returns the number of secrets of a token that work now, according to the database.
async fn working(world: &World, ctx: &OpContext, id: TokenId) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM token_secrets WHERE token_id = $1 AND (current OR expires_at > $2)",
    )
    .bind(id.0)
    .bind(ctx.now)
    .fetch_one(&world.pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = false)]
async fn rotation_without_grace_expires_the_former_secret_immediately(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let former = minted.secret.expose();
    world.pass(Duration::days(1));
    let (token, newer) = rotate(&world, minted.token.id, now()).await;
    assert_ne!(newer, former);
    assert_eq!(decide(&world, &newer).await, DecisionCode::Valid);
    assert_eq!(decide(&world, former).await, DecisionCode::Expired);
    assert_eq!((token.grace_until, token.older_hint), (None, None));
    assert_eq!(token.hint, domain::token_text::hint(&newer));
    assert_eq!(token.rotated_at, Some(START + Duration::days(1)));
    assert_eq!(token.expires_at, Some(START + Duration::days(91)), "the same lifetime as before");
    assert_eq!((token.version, token.created_at), (2, START));
}

#[sqlx::test(migrations = false)]
async fn both_secrets_work_during_grace_and_the_row_shows_both(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, former) = (minted.token.id, minted.secret.expose());
    let (token, newer) = rotate(&world, id, grace(3_600)).await;
    assert_eq!(token.grace_until, Some(START + Duration::hours(1)));
    assert_eq!(token.older_hint, Some(minted.token.hint.clone()));
    world.pass(Duration::minutes(59));
    for text in [former, &newer] {
        assert_eq!(decide(&world, text).await, DecisionCode::Valid);
    }
    assert_eq!(show(&world, id).await, token);
    world.pass(Duration::minutes(1));
    assert_eq!(decide(&world, former).await, DecisionCode::Expired);
    assert_eq!(decide(&world, &newer).await, DecisionCode::Valid);
    let token = show(&world, id).await;
    assert_eq!((token.grace_until, token.older_hint), (None, None));
}

#[sqlx::test(migrations = false)]
async fn grace_is_clamped_to_policy_and_to_the_tokens_own_end(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (token, _) = rotate(&world, minted.token.id, grace(i64::MAX)).await;
    assert_eq!(token.grace_until, Some(START + Duration::days(30)));
    let ada = world.owner().await;
    let short = TokenDraft { expiry: expiry::parse("1h"), ..draft(&["rivers:read"]) };
    let short = world.mint(&ada, HOME, short).await;
    let (token, newer) = rotate(&world, short.token.id, grace(86_400)).await;
    assert_eq!(
        token.grace_until,
        Some(START + Duration::hours(1)),
        "the token would have expired by then"
    );
    // Moving the token's expiry back and forth revives nothing.
    decide(&world, &newer).await;
    let (token, _) = rotate(&world, short.token.id, grace(1_800)).await;
    assert_eq!(token.grace_until, Some(START + Duration::minutes(30)));
    let tokens = world.authority.tokens();
    tokens.expire(&world.owner().await, token.id, None).await.unwrap();
    let later = TokenPatch { expiry: Some(expiry::parse("1d")), ..TokenPatch::default() };
    let token = tokens.update(&world.owner().await, token.id, None, later).await.unwrap();
    assert_eq!((token.state, token.grace_until), (TokenState::Active, None));
    assert_eq!(decide(&world, &newer).await, DecisionCode::Expired);
    let negative = tokens.rotate(&ada, token.id, None, grace(-1)).await;
    assert_eq!(code(negative), ProblemCode::ValidationFailed);
}

#[sqlx::test(migrations = false)]
async fn older_secret_expires_when_the_newer_one_is_first_used(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, former) = (minted.token.id, minted.secret.expose());
    let (token, newer) = rotate(&world, id, until_first_use()).await;
    assert_eq!(
        token.grace_until,
        Some(START + Duration::days(30)),
        "at most the grace that policy allows"
    );
    world.pass(Duration::days(1));
    assert_eq!(decide(&world, former).await, DecisionCode::Valid);
    let refused = Demand { scopes: vec!["teams:read".parse().unwrap()], ..Demand::default() };
    assert_eq!(world.decide(&newer, &refused).await, DecisionCode::InsufficientScope);
    assert_eq!(decide(&world, former).await, DecisionCode::Valid, "a refusal is not a use");
    assert_eq!(decide(&world, &newer).await, DecisionCode::Valid);
    assert_eq!(decide(&world, former).await, DecisionCode::Expired);
    let token = show(&world, id).await;
    assert_eq!((token.grace_until, token.version), (None, 4), "rotated, ended, reused");
    let told = actions(&world).await;
    assert_eq!(told[told.len() - 3..], ["token.rotate", "token.grace_end", "token.reuse"]);
    let first: Vec<Option<time::OffsetDateTime>> =
        sqlx::query_scalar("SELECT first_used_at FROM token_secrets ORDER BY current DESC")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(
        first,
        [Some(START + Duration::days(1)), None],
        "nothing depends on the former secret's first use"
    );
    world.pass(Duration::days(1));
    decide(&world, &newer).await;
    assert_eq!(show(&world, id).await.version, 4, "only the first use is written");
}

#[sqlx::test(migrations = false)]
async fn lost_reply_does_not_lock_out_the_client(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, former) = (minted.token.id, minted.secret.expose());
    let (first, lost) = rotate(&world, id, grace(3_600)).await;
    world.pass(Duration::minutes(1));
    // The response never arrived, so the caller repeats the request.
    let (token, newer) = rotate(&world, id, grace(3_600)).await;
    assert_eq!(token.grace_until, first.grace_until, "the older one keeps its own end");
    assert_eq!(token.older_hint, first.older_hint);
    for (text, expected) in [
        (former, DecisionCode::Valid),
        (&lost, DecisionCode::Expired),
        (&newer, DecisionCode::Valid),
    ] {
        assert_eq!(decide(&world, text).await, expected);
    }
    // Now that the newer secret was used, it is the one that the rotation replaces.
    let (token, newest) = rotate(&world, id, grace(60)).await;
    assert_eq!(token.grace_until, Some(START + Duration::minutes(2)));
    assert_eq!(token.older_hint, Some(domain::token_text::hint(&newer)));
    for (text, expected) in [
        (former, DecisionCode::Expired),
        (&newer, DecisionCode::Valid),
        (&newest, DecisionCode::Valid),
    ] {
        assert_eq!(decide(&world, text).await, expected);
    }
    assert_eq!(working(&world, &world.operator(), id).await, 2);
}

#[sqlx::test(migrations = false)]
async fn grace_can_be_ended_and_does_not_come_back(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let id = minted.token.id;
    rotate(&world, id, grace(3_600)).await;
    let tokens = world.authority.tokens();
    let ada = world.owner().await;
    let token = tokens.end_grace(&ada, id, Some(2)).await.unwrap();
    assert_eq!((token.grace_until, token.older_hint, token.version), (None, None, 3));
    assert_eq!(decide(&world, minted.secret.expose()).await, DecisionCode::Expired);
    assert_eq!(
        actions(&world).await.iter().filter(|action| *action == "token.grace_end").count(),
        1
    );
}

#[sqlx::test(migrations = false)]
async fn expired_token_works_again_and_disabled_token_stays_disabled(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, former) = (minted.token.id, minted.secret.expose());
    world.pass(Duration::days(100));
    assert_eq!(decide(&world, former).await, DecisionCode::Expired);
    let (token, newer) = rotate(&world, id, grace(86_400)).await;
    assert_eq!((token.state, token.grace_until), (TokenState::Active, None));
    assert_eq!(token.expires_at, Some(START + Duration::days(190)));
    assert_eq!(decide(&world, &newer).await, DecisionCode::Valid);
    assert_eq!(
        decide(&world, former).await,
        DecisionCode::Expired,
        "the token lives again, but its old secret does not"
    );
    world.authority.tokens().disable(&world.owner().await, id, None).await.unwrap();
    let (token, newest) = rotate(&world, id, grace(60)).await;
    assert_eq!(token.state, TokenState::Disabled);
    for text in [&newer, &newest] {
        assert_eq!(decide(&world, text).await, DecisionCode::Disabled);
    }
}

#[sqlx::test(migrations = false)]
async fn end_of_a_rotated_token_is_clamped_to_policy(pool: PgPool) {
    let world = World::founded(pool).await;
    let endless = TokenDraft { expiry: expiry::parse("never"), ..draft(&["rivers:read"]) };
    let id = world.mint(&world.owner().await, HOME, endless).await.token.id;
    assert_eq!(rotate(&world, id, now()).await.0.expires_at, None);
    world
        .execute(
            "INSERT INTO policies (id, workspace_id, max_ttl_s, updated_at)
             SELECT gen_random_uuid(), id, 864000, now() FROM workspaces",
        )
        .await;
    let latest = Some(START + Duration::days(10));
    for wish in [None, Some("never"), Some("365d")] {
        let draft = RotationDraft { expiry: wish.map(expiry::parse), ..now() };
        assert_eq!(rotate(&world, id, draft).await.0.expires_at, latest, "{wish:?}");
    }
    let draft = RotationDraft { expiry: Some(expiry::parse("5d")), ..now() };
    assert_eq!(rotate(&world, id, draft).await.0.expires_at, Some(START + Duration::days(5)));
    let tokens = world.authority.tokens();
    let past = RotationDraft { expiry: Some(expiry::parse("2020-01-01")), ..now() };
    let ada = world.owner().await;
    assert_eq!(code(tokens.rotate(&ada, id, None, past).await), ProblemCode::ValidationFailed);
    let start = Edit::Set("2026-01-06T00:00:00Z".to_owned());
    let scheduled = TokenPatch { not_before: start, ..TokenPatch::default() };
    tokens.update(&ada, id, None, scheduled).await.unwrap();
    let early = RotationDraft { expiry: Some(expiry::parse("1d")), ..now() };
    assert_eq!(code(tokens.rotate(&ada, id, None, early).await), ProblemCode::ValidationFailed);
}

#[sqlx::test(migrations = false)]
async fn one_of_64_rotations_of_one_version_succeeds(_: PgPoolOptions, options: PgConnectOptions) {
    // Each on its own connection.
    let pool = PgPoolOptions::new().max_connections(66).connect_with(options).await.unwrap();
    let world = World::founded(pool).await;
    let id = world.token("default", &["rivers:read"]).await.token.id;
    let ada = world.owner().await;
    let race = async |expected: Option<i64>| {
        let barrier = Arc::new(Barrier::new(64));
        let attempts: Vec<_> = (0..64)
            .map(|_| {
                let (authority, ada, barrier) =
                    (world.authority.clone(), ada.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    authority.tokens().rotate(&ada, id, expected, grace(3_600)).await
                })
            })
            .collect();
        let mut won = Vec::new();
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(minted) => won.push(minted),
                Err(ServiceError::PreconditionFailed) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        won
    };
    let mut version = 1;
    for round in 0..rounds(5) {
        let won = race(Some(version)).await;
        assert_eq!(won.len(), 1, "round {round}");
        version += 1;
        assert_eq!(won[0].token.version, version);
        // The winner's secret is the only one beside the one that it replaced.
        assert_eq!(working(&world, &ada, id).await, 2, "round {round}");
        assert_eq!(decide(&world, won[0].secret.expose()).await, DecisionCode::Valid);
        assert_eq!(show(&world, id).await.version, version);
    }

    // Without a version, the rotations run one after another, and still at most two secrets work.
    let won = race(None).await;
    assert_eq!(won.len(), 64);
    let mut versions: Vec<i64> = won.iter().map(|minted| minted.token.version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (version + 1..version + 65).collect::<Vec<_>>());
    assert_eq!(working(&world, &ada, id).await, 2);
    let mut valid = 0;
    for minted in &won {
        valid += i32::from(decide(&world, minted.secret.expose()).await == DecisionCode::Valid);
    }
    assert_eq!(valid, 1, "only the last of the unused secrets works");
    world.authority.close().await;
    world.pool.close().await;
}

#[sqlx::test(migrations = false)]
async fn expired_replaced_secrets_are_recorded_once_each(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, first) = (minted.token.id, minted.secret.expose());
    let (_, second) = rotate(&world, id, now()).await;
    let (_, third) = rotate(&world, id, now()).await;
    assert_eq!(show(&world, id).await.reused_at, None);
    world.pass(Duration::hours(1));
    let from = Demand { ip: Some("198.51.100.7".parse().unwrap()), ..Demand::default() };
    for _ in 0..3 {
        assert_eq!(world.decide(first, &from).await, DecisionCode::Expired);
    }
    let token = show(&world, id).await;
    assert_eq!(token.reused_at, Some(START + Duration::hours(1)));
    assert!(token.enabled, "policy only asks for a record");
    world.pass(Duration::hours(1));
    assert_eq!(decide(&world, &second).await, DecisionCode::Expired);
    assert_eq!(show(&world, id).await.reused_at, Some(START + Duration::hours(2)));
    let reuses = async || actions(&world).await.iter().filter(|one| *one == "token.reuse").count();
    assert_eq!(reuses().await, 2);
    let told: serde_json::Value = sqlx::query_scalar(
        "SELECT after FROM audit_events WHERE action = 'token.reuse' ORDER BY id LIMIT 1",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(told["presented_from"], "198.51.100.7");
    assert_eq!(decide(&world, &third).await, DecisionCode::Valid);
    // An expired or deleted token no longer works, so there is nothing to warn of.
    let (_, fourth) = rotate(&world, id, now()).await;
    let tokens = world.authority.tokens();
    tokens.expire(&world.owner().await, id, None).await.unwrap();
    assert_eq!(decide(&world, &third).await, DecisionCode::Expired);
    assert_eq!(decide(&world, &fourth).await, DecisionCode::Expired);
    tokens.delete(&world.owner().await, id, None).await.unwrap();
    assert_eq!(decide(&world, &third).await, DecisionCode::Revoked);
    assert_eq!(reuses().await, 2);
}

#[sqlx::test(migrations = false)]
async fn reuse_disables_the_token_if_policy_says_so(pool: PgPool) {
    let world = World::founded(pool).await;
    world
        .execute(
            "INSERT INTO policies (id, on_reuse, updated_at) VALUES (gen_random_uuid(), 'disable', now())",
        )
        .await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, former) = (minted.token.id, minted.secret.expose().to_owned());
    let (_, newer) = rotate(&world, id, now()).await;
    let presented = (0..16).map(|_| {
        let (authority, former, ctx) = (world.authority.clone(), former.clone(), world.anonymous());
        tokio::spawn(async move {
            let verification = authority.verification();
            verification.decide(&ctx, &former, &Demand::default()).await.unwrap().code
        })
    });
    for answer in presented.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), DecisionCode::Expired, "no other result");
    }
    assert_eq!(decide(&world, &newer).await, DecisionCode::Disabled);
    let token = show(&world, id).await;
    assert_eq!((token.enabled, token.reused_at), (false, Some(START)));
    let told = actions(&world).await;
    assert_eq!(told[told.len() - 3..], ["token.rotate", "token.reuse", "token.disable"]);
    // After the token is enabled again, the same secret does not disable it a second time.
    world.authority.tokens().enable(&world.owner().await, id, None).await.unwrap();
    assert_eq!(decide(&world, &former).await, DecisionCode::Expired);
    assert_eq!(decide(&world, &newer).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn secret_in_its_grace_and_question_from_another_workspace_are_not_reuse(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    rotate(&world, minted.token.id, grace(60)).await;
    assert_eq!(decide(&world, minted.secret.expose()).await, DecisionCode::Valid);
    world.pass(Duration::minutes(1));
    let elsewhere = Demand { workspace: Some(slug("other")), ..Demand::default() };
    assert_eq!(world.decide(minted.secret.expose(), &elsewhere).await, DecisionCode::NotFound);
    assert_eq!(show(&world, minted.token.id).await.reused_at, None);
    assert!(!actions(&world).await.contains(&"token.reuse".to_owned()));
}

#[sqlx::test(migrations = false)]
async fn verification_of_a_used_secret_is_one_query(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    decide(&world, minted.secret.expose()).await;
    // No writes succeed, and no other table can be read. The usual path needs neither.
    world.execute("ALTER TABLE token_secrets ADD CONSTRAINT full_up CHECK (false) NOT VALID").await;
    world.execute("ALTER TABLE policies RENAME TO policies_gone").await;
    world.execute("ALTER TABLE revisions RENAME TO revisions_gone").await;
    world.execute("ALTER TABLE audit_events RENAME TO audit_events_gone").await;
    assert_eq!(decide(&world, minted.secret.expose()).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn only_a_secret_that_replaced_another_waits_for_its_first_use_to_be_written(pool: PgPool) {
    let world = World::founded(pool).await;
    let never_rotated = world.token("default", &["rivers:read"]).await;
    let rotated = world.token("default", &["rivers:read"]).await;
    let (_, newer) = rotate(&world, rotated.token.id, grace(3_600)).await;
    world.execute("ALTER TABLE token_secrets ADD CONSTRAINT full_up CHECK (false) NOT VALID").await;
    assert_eq!(decide(&world, never_rotated.secret.expose()).await, DecisionCode::Valid);
    assert_eq!(decide(&world, rotated.secret.expose()).await, DecisionCode::Valid);
    let ctx = world.anonymous();
    let outcome = world.authority.verification().decide(&ctx, &newer, &Demand::default()).await;
    assert!(outcome.is_err(), "otherwise a rotation would treat it as a lost secret");
}

#[sqlx::test(migrations = false)]
async fn first_use_that_cannot_be_written_is_not_allowed(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (_, newer) = rotate(&world, minted.token.id, until_first_use()).await;
    world
        .execute("ALTER TABLE audit_events ADD CONSTRAINT audit_full CHECK (false) NOT VALID")
        .await;
    let ctx = world.anonymous();
    let outcome = world.authority.verification().decide(&ctx, &newer, &Demand::default()).await;
    assert!(outcome.is_err(), "otherwise both secrets would keep working");
    assert_eq!(decide(&world, minted.secret.expose()).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn token_rotates_itself_and_an_old_secret_cannot_take_it_over(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let minted = world.token("default", &["rivers:read"]).await;
    let older = world.bearer(&minted).await;
    let lost = tokens.rotate_self(&older, Some(1), grace(3_600)).await.unwrap();
    // The response was lost. The older secret may rotate again, because the newer one was
    // never used.
    let newer = tokens.rotate_self(&older, None, grace(3_600)).await.unwrap();
    assert_eq!(decide(&world, lost.secret.expose()).await, DecisionCode::Expired);
    let bearer = world.bearer(&newer).await;
    assert_eq!(code(tokens.rotate_self(&older, None, now()).await), ProblemCode::Forbidden);
    let newest = tokens.rotate_self(&bearer, None, now()).await.unwrap();
    assert_eq!(decide(&world, newest.secret.expose()).await, DecisionCode::Valid);
    // Both expired with that rotation. A caller that was authenticated before is too late.
    for ctx in [&older, &bearer] {
        assert_eq!(code(tokens.rotate_self(ctx, None, now()).await), ProblemCode::Unauthenticated);
    }
    let ada = world.owner().await;
    assert_eq!(code(tokens.rotate_self(&ada, None, now()).await), ProblemCode::Unauthenticated);
}

#[sqlx::test(migrations = false)]
async fn replaced_secret_cannot_rotate_once_the_newer_one_is_used(pool: PgPool) {
    let world = World::founded(pool).await;
    world
        .execute(
            "INSERT INTO policies (id, reveal, updated_at)
             VALUES (gen_random_uuid(), 'recoverable_allowed', now())",
        )
        .await;
    let tokens = world.authority.tokens();
    let wish = TokenDraft {
        audiences: vec!["tessera".into()],
        recoverable: true.into(),
        ..draft(&["tokens:write", "tokens:reveal"])
    };
    let minted = world.mint(&world.owner().await, HOME, wish).await;
    let id = minted.token.id;
    tokens.rotate(&world.bearer(&minted).await, id, None, grace(600)).await.unwrap();
    // The response was lost, and the newer secret was never used.
    let older = world.bearer(&minted).await;
    let newer = tokens.rotate(&older, id, None, grace(600)).await.unwrap();
    let bearer = world.bearer(&newer).await;
    assert_eq!(code(tokens.rotate(&older, id, None, grace(600)).await), ProblemCode::Forbidden);
    assert_eq!(code(tokens.rotate_self(&older, None, grace(600)).await), ProblemCode::Forbidden);
    assert_eq!(code(tokens.reveal(&older, id, None).await), ProblemCode::Forbidden);
    // Other calls still work, and the newer secret may do all of that.
    assert_eq!(tokens.show(&older, id).await.unwrap().id, id);
    let shown = tokens.reveal(&bearer, id, None).await.unwrap();
    assert_eq!(shown.secret.expose(), newer.secret.expose());
    tokens.rotate(&bearer, id, None, now()).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn secret_in_its_grace_creates_nothing_that_outlasts_it(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let minted = world.token("tessera", &["tokens:write", "tokens:read"]).await;
    let id = minted.token.id;
    let (token, newer) = rotate(&world, id, grace(3_600)).await;
    decide(&world, &newer).await;
    let end = token.grace_until;
    let older = world.bearer(&minted).await;
    let wish = |name: &str| TokenDraft {
        name: name.into(),
        audiences: vec!["tessera".into()],
        ..draft(&["tokens:read"])
    };
    let child = world.mint(&older, HOME, wish("child")).await;
    assert_eq!(child.token.expires_at, end, "the end of the secret, not of the token");
    let longer = TokenDraft { expiry: expiry::parse("2h"), ..wish("longer") };
    let Err(ServiceError::BoundExceeded(errors)) = tokens.create(&older, &slug(HOME), longer).await
    else {
        panic!("a child that outlasts the secret")
    };
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(error.field, "expires_at");
    assert!(error.message.contains("expiry of the presented secret"), "{error:?}");
    let copy = tokens.clone_of(&older, id, None, "copy".into()).await.unwrap();
    assert_eq!(copy.token.expires_at, end);
    let sibling = world.token("tessera", &["tokens:read"]).await.token;
    let sibling = tokens.rotate(&older, sibling.id, None, now()).await.unwrap();
    assert_eq!(sibling.token.expires_at, end);
    let longer = TokenPatch { expiry: Some(expiry::parse("200d")), ..TokenPatch::default() };
    let outcome = tokens.update(&older, id, None, longer).await;
    assert_eq!(code(outcome), ProblemCode::BoundExceeded);
    // None of them renews itself beyond that.
    world.pass(Duration::minutes(50));
    for given in [&child, &copy, &sibling] {
        let bearer = world.bearer(given).await;
        let wish =
            RotationDraft { expiry: Some(expiry::parse("never")), ..RotationDraft::default() };
        let renewed = tokens.rotate_self(&bearer, None, wish).await.unwrap();
        assert_eq!(renewed.token.expires_at, end, "{}", given.token.name);
        assert_eq!(decide(&world, renewed.secret.expose()).await, DecisionCode::Valid);
    }
    // The newer secret gives what its token may give.
    let bearer = world
        .authority
        .verification()
        .authenticate(&world.anonymous(), &newer)
        .await
        .map(|actor| world.context(actor))
        .unwrap();
    assert!(world.mint(&bearer, HOME, wish("later")).await.token.expires_at > end);
}

#[sqlx::test(migrations = false)]
async fn rotation_without_its_audit_row_does_not_happen(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let ada = world.owner().await;
    world
        .execute("ALTER TABLE audit_events ADD CONSTRAINT audit_full CHECK (false) NOT VALID")
        .await;
    let outcome = world.authority.tokens().rotate(&ada, minted.token.id, None, now()).await;
    assert_eq!(code(outcome), ProblemCode::Internal);
    assert_eq!(decide(&world, minted.secret.expose()).await, DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn expired_secrets_and_tokens_stay_expired_at_a_server_whose_clock_is_behind(pool: PgPool) {
    let world = World::founded(pool).await;
    let (tokens, ada) = (world.authority.tokens(), world.owner().await);
    world.pass(Duration::days(1));
    let behind = -Duration::seconds(4);
    let ended = async |text: &str| {
        world.pass(behind);
        assert_eq!(decide(&world, text).await, DecisionCode::Expired);
        world.pass(-behind);
    };

    let leaked = world.token("default", &["rivers:read"]).await;
    let thief = world.bearer(&leaked).await;
    let (token, _) = rotate(&world, leaked.token.id, now()).await;
    ended(leaked.secret.expose()).await;
    world.pass(behind);
    let taken_over = tokens.rotate_self(&thief, None, grace(60)).await;
    assert_eq!(code(taken_over), ProblemCode::Unauthenticated);
    assert_eq!(decide(&world, leaked.secret.expose()).await, DecisionCode::Expired);
    assert!(show(&world, token.id).await.reused_at.is_some(), "it is recorded as a reuse");
    // A change by that server does not undo any of this.
    tokens.disable(&ada, token.id, None).await.unwrap();
    tokens.enable(&ada, token.id, None).await.unwrap();
    assert_eq!(decide(&world, leaked.secret.expose()).await, DecisionCode::Expired);
    world.pass(-behind);

    let (_, newer) = rotate(&world, token.id, grace(3_600)).await;
    rotate(&world, token.id, grace(3_600)).await;
    tokens.end_grace(&ada, token.id, None).await.unwrap();
    ended(&newer).await;

    let once = world.token("default", &["rivers:read"]).await;
    let (_, newer) = rotate(&world, once.token.id, until_first_use()).await;
    assert_eq!(decide(&world, &newer).await, DecisionCode::Valid);
    ended(once.secret.expose()).await;

    let token = tokens.expire(&ada, once.token.id, None).await.unwrap();
    ended(&newer).await;
    world.pass(behind);
    assert_eq!(show(&world, token.id).await.state, TokenState::Expired);
}

#[sqlx::test(migrations = false)]
async fn concurrent_uses_of_a_new_secret_take_no_connections_from_others(pool: PgPool) {
    let world = World::founded(pool).await;
    let leaked = world.token("default", &["rivers:read"]).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (token, newer) = rotate(&world, minted.token.id, until_first_use()).await;
    // Simulates a server that lost its connection in the middle of a change.
    let mut other = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM tokens WHERE id = $1 FOR UPDATE")
        .bind(token.id.0)
        .execute(&mut *other)
        .await
        .unwrap();
    let crowd = (0..16).map(|_| {
        let (authority, newer, ctx) = (world.authority.clone(), newer.clone(), world.anonymous());
        tokio::spawn(async move {
            authority
                .verification()
                .decide(&ctx, &newer, &Demand::default())
                .await
                .map(|it| it.code)
        })
    });
    let crowd = crowd.collect::<Vec<_>>();
    let ada = world.owner().await;
    world.authority.tokens().disable(&ada, leaked.token.id, None).await.unwrap();
    other.rollback().await.unwrap();
    for answer in crowd {
        assert_eq!(answer.await.unwrap().unwrap(), DecisionCode::Valid);
    }
}

/// Secrets of one workspace that wait, however many, do not delay those of another.
#[sqlx::test(migrations = false)]
async fn secrets_of_one_workspace_do_not_delay_other_workspaces(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let ada = world.owner().await;
    let mut theirs = Vec::new();
    for _ in 0..10 {
        let minted = world.mint(&ada, "other", crate::support::draft(&["rivers:read"])).await;
        theirs.push(rotate(&world, minted.token.id, until_first_use()).await.1);
    }
    let minted = world.token("default", &["rivers:read"]).await;
    let (_, newer) = rotate(&world, minted.token.id, until_first_use()).await;
    let mut other = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM tokens WHERE id <> $1 FOR UPDATE")
        .bind(minted.token.id.0)
        .execute(&mut *other)
        .await
        .unwrap();
    let crowd = theirs.into_iter().map(|newer| {
        let (authority, ctx) = (world.authority.clone(), world.anonymous());
        tokio::spawn(async move {
            let verification = authority.verification();
            verification.decide(&ctx, &newer, &Demand::default()).await.map(|it| it.code)
        })
    });
    let crowd = crowd.collect::<Vec<_>>();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("first uses that wait for locks", async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&world.pool).await.unwrap() >= 2
    })
    .await;
    assert_eq!(decide(&world, &newer).await, DecisionCode::Valid);
    let most: i64 = sqlx::query_scalar(waiting).fetch_one(&world.pool).await.unwrap();
    assert!(most <= 2, "{most} of the other workspace");
    other.rollback().await.unwrap();
    for answer in crowd {
        // Served in turn, or refused after a short wait.
        match answer.await.unwrap() {
            Ok(code) => assert_eq!(code, DecisionCode::Valid),
            Err(error) => assert!(matches!(error, ServiceError::Unavailable(_)), "{error:?}"),
        }
    }
}

#[sqlx::test(migrations = false)]
async fn concurrent_first_uses_end_the_grace_once(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (_, newer) = rotate(&world, minted.token.id, until_first_use()).await;
    let uses = (0..16).map(|_| {
        let (authority, newer, ctx) = (world.authority.clone(), newer.clone(), world.anonymous());
        tokio::spawn(async move {
            let verification = authority.verification();
            verification.decide(&ctx, &newer, &Demand::default()).await.unwrap().code
        })
    });
    for answer in uses.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), DecisionCode::Valid);
    }
    assert_eq!(decide(&world, minted.secret.expose()).await, DecisionCode::Expired);
    let told = actions(&world).await;
    assert_eq!(told.iter().filter(|action| *action == "token.grace_end").count(), 1);
}

#[sqlx::test(migrations = false)]
async fn any_mix_of_concurrent_changes_keeps_the_invariants(pool: PgPool) {
    let world = World::founded(pool).await;
    world
        .execute(
            "INSERT INTO policies (id, unique_names, max_ttl_s, on_reuse, updated_at)
             VALUES (gen_random_uuid(), true, 8640000, 'disable', now())",
        )
        .await;
    let minted = world.token("default", &["rivers:write"]).await;
    let (id, ada) = (minted.token.id, world.owner().await);
    let first = minted.secret.expose().to_owned();
    let workers: Vec<_> = (0..8_usize)
        .map(|worker| {
            let (authority, ada, nobody) =
                (world.authority.clone(), ada.clone(), world.anonymous());
            let mut known = vec![first.clone()];
            tokio::spawn(async move {
                let (tokens, verification) = (authority.tokens(), authority.verification());
                for round in 0..16_usize {
                    // Each worker steps through the operations with a different stride.
                    let outcome = match (round * (2 * worker + 1) + worker) % 8 {
                        0 => tokens.rotate(&ada, id, None, grace(3_600)).await.map(|minted| {
                            known.push(minted.secret.expose().to_owned());
                        }),
                        1 => tokens.rotate(&ada, id, None, until_first_use()).await.map(|minted| {
                            known.push(minted.secret.expose().to_owned());
                        }),
                        2 => tokens.enable(&ada, id, None).await.map(drop),
                        3 => tokens.disable(&ada, id, None).await.map(drop),
                        4 => tokens.end_grace(&ada, id, None).await.map(drop),
                        5 => {
                            let name = Some(format!("name {worker} {round}"));
                            let expiry = Some(expiry::parse("1d"));
                            let patch = TokenPatch { name, expiry, ..TokenPatch::default() };
                            tokens.update(&ada, id, None, patch).await.map(drop)
                        }
                        6 => tokens.expire(&ada, id, None).await.map(drop),
                        _ => {
                            let text = &known[round % known.len()];
                            verification.decide(&nobody, text, &Demand::default()).await.map(drop)
                        }
                    };
                    outcome.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let (current, works, beyond): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE current),
                count(*) FILTER (WHERE NOT current AND s.expires_at > $2),
                count(*) FILTER (WHERE NOT current AND s.expires_at > $2 AND s.expires_at > t.expires_at)
           FROM token_secrets s JOIN tokens t ON t.id = s.token_id WHERE t.id = $1",
    )
    .bind(id.0)
    .bind(START)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!((current, beyond), (1, 0), "one current secret; none outlives its token");
    assert!(works <= 1, "at most one older secret works: {works}");
    let changes: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_events WHERE subject_id = $1 AND action <> 'token.create'",
    )
    .bind(id.0)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(show(&world, id).await.version, changes + 1, "one row for each version");
}
