//! Requests that may be repeated, on a real PostgreSQL.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, draft};
use authority::{Attempt, Claim, KeptReply, OpContext, Purpose, ServiceError, TokenPatch};
use domain::ids::TokenId;
use sqlx::PgPool;
use time::Duration;

const REQUEST: (&str, &str, &[u8]) = ("POST", "/api/v1/workspaces/w/tokens", b"{\"name\":\"ci\"}");

impl World {
    async fn claim(
        &self,
        ctx: &OpContext,
        key: &str,
        request: (&str, &str, &[u8]),
    ) -> Result<Claim, ServiceError> {
        let ctx = self.context(ctx.actor.clone());
        let workspace = "workspace-1".parse().unwrap();
        let purpose = Purpose::NewTokens(&workspace);
        self.authority.idempotency().claim(&ctx, purpose, key, request).await
    }

    async fn first(&self, ctx: &OpContext, key: &str) -> Attempt {
        match self.claim(ctx, key, REQUEST).await.unwrap() {
            Claim::First(attempt) => attempt,
            Claim::Repeated(_) => panic!("was already done"),
        }
    }
}

fn reply() -> KeptReply {
    KeptReply {
        status: 201,
        headers: vec![("location".into(), b"/api/v1/tokens/x".to_vec())],
        body: b"{\"secret\":\"tsr_visible\"}".to_vec(),
        secret_of: None,
    }
}

#[sqlx::test(migrations = false)]
async fn first_reply_answers_every_repetition_for_a_day(pool: PgPool) {
    let world = World::founded(pool).await;
    world
        .execute(
            "INSERT INTO policies (id, reveal, updated_at)
             VALUES (gen_random_uuid(), 'recoverable_allowed', now())",
        )
        .await;
    let ada = world.owner().await;
    let attempt = world.first(&ada, "key").await;
    let again = world.claim(&ada, "key", REQUEST).await;
    assert!(matches!(again, Err(ServiceError::IdempotencyInFlight)));
    world.authority.idempotency().keep(&attempt, &reply()).await.unwrap();
    for request in [
        ("POST", REQUEST.1, b"{}".as_slice()),
        ("PUT", REQUEST.1, REQUEST.2),
        ("POST", "/api/v1/workspaces/x/tokens", REQUEST.2),
        // Text must not move across a field boundary without changing the result.
        ("POST/", "api/v1/workspaces/w/tokens", REQUEST.2),
    ] {
        let other = world.claim(&ada, "key", request).await;
        assert!(matches!(other, Err(ServiceError::IdempotencyMismatch)), "{request:?}");
    }
    world.pass(Duration::hours(23));
    world.authority.forget_ended().await.unwrap();
    let Claim::Repeated(kept) = world.claim(&ada, "key", REQUEST).await.unwrap() else {
        panic!("forgotten")
    };
    assert_eq!(kept, reply());
    world.pass(Duration::hours(1));
    let anew = world.first(&ada, "key").await;
    assert_ne!(anew.operation(), attempt.operation(), "another request under an old name");
    world.pass(Duration::days(2));
    world.authority.forget_ended().await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM idempotency_keys")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

#[sqlx::test(migrations = false)]
async fn key_belongs_to_its_caller(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let attempt = world.first(&ada, "key").await;
    world.authority.idempotency().keep(&attempt, &reply()).await.unwrap();
    let other = world.person("administrator", Some(("workspace-1", "admin"))).await;
    world.first(&other, "key").await;
    // A token that acts as Ada is a different caller than Ada.
    let token = world.bearer(&world.token("tessera", &["tokens:write"]).await).await;
    world.first(&token, "key").await;
    let nobody = world.claim(&world.anonymous(), "key", REQUEST).await;
    assert!(matches!(nobody, Err(ServiceError::Unauthenticated)));
    for key in ["", " ", "a b", "é", "a\n", &"x".repeat(256)] {
        let outcome = world.claim(&ada, key, REQUEST).await;
        assert!(matches!(outcome, Err(ServiceError::Invalid(_))), "{key:?}");
    }
    world.first(&ada, &"x".repeat(255)).await;
}

#[sqlx::test(migrations = false)]
async fn key_request_and_reply_are_unreadable_in_the_table(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let attempt = world.first(&ada, "order-4711").await;
    world.authority.idempotency().keep(&attempt, &reply()).await.unwrap();
    let row: String = sqlx::query_scalar(
        "SELECT encode(key || request || reply, 'escape') || k::text FROM idempotency_keys k",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    for text in ["tsr_visible", "secret", "location", "order-4711", "name"] {
        assert!(!row.contains(text), "{text} in {row}");
    }
    // A reply that was moved to another key cannot be decrypted.
    world.first(&ada, "other").await;
    world
        .execute(
            "UPDATE idempotency_keys SET status = from_row.status, reply = from_row.reply,
                    seal_key_version = from_row.seal_key_version
               FROM (SELECT * FROM idempotency_keys WHERE status IS NOT NULL) AS from_row
              WHERE idempotency_keys.status IS NULL",
        )
        .await;
    let moved = world.claim(&ada, "other", REQUEST).await;
    assert!(matches!(moved, Err(ServiceError::Internal(_))));
}

#[sqlx::test(migrations = false)]
async fn attempt_of_a_crashed_server_is_taken_over_once(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let dead = world.first(&ada, "key").await;
    world.pass(Duration::seconds(59));
    assert!(matches!(
        world.claim(&ada, "key", REQUEST).await,
        Err(ServiceError::IdempotencyInFlight)
    ));
    world.pass(Duration::seconds(1));
    let other = world.claim(&ada, "key", ("POST", REQUEST.1, b"{}")).await;
    assert!(matches!(other, Err(ServiceError::IdempotencyMismatch)));
    let heirs = futures_of(8, || world.claim(&ada, "key", REQUEST)).await;
    let mut heirs = heirs.into_iter().filter_map(Result::ok);
    let Some(Claim::First(heir)) = heirs.next() else { panic!("no server took it over") };
    assert!(heirs.next().is_none(), "taken over twice");
    assert_eq!(heir.operation(), dead.operation(), "the same operation");
    // The supposedly dead request was only slow. Its reply comes too late.
    let late = KeptReply { status: 500, ..reply() };
    world.authority.idempotency().keep(&dead, &late).await.unwrap();
    world.authority.idempotency().keep(&heir, &reply()).await.unwrap();
    let Claim::Repeated(kept) = world.claim(&ada, "key", REQUEST).await.unwrap() else { panic!() };
    assert_eq!(kept.status, 201);
}

#[sqlx::test(migrations = false)]
async fn abandoned_attempt_may_begin_again_immediately(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let failed = world.first(&ada, "key").await;
    world.authority.idempotency().release(&failed).await.unwrap();
    let again = world.first(&ada, "key").await;
    assert_eq!(again.operation(), failed.operation());
}

async fn futures_of<T, F: Future<Output = T>>(count: usize, make: impl Fn() -> F) -> Vec<T> {
    let mut futures: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[sqlx::test(migrations = false)]
async fn caller_without_permission_claims_no_key(pool: PgPool) {
    let world = World::founded(pool.clone()).await;
    let viewer = world.person("vic", Some(("workspace-1", "viewer"))).await;
    let stranger = world.person("sue", None).await;
    let refused = world.claim(&viewer, "key", REQUEST).await;
    assert!(matches!(refused, Err(ServiceError::Forbidden(_))), "{refused:?}");
    let refused = world.claim(&stranger, "key", REQUEST).await;
    assert!(matches!(refused, Err(ServiceError::NotFound("workspace"))), "{refused:?}");
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[sqlx::test(migrations = false)]
async fn caller_holds_ten_thousand_keys_at_most(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let first = world.first(&ada, "key").await;
    world.authority.idempotency().keep(&first, &reply()).await.unwrap();
    world
        .execute(
            "INSERT INTO idempotency_keys (key, request, created_at, expires_at, caller)
             SELECT sha256(n::text::bytea), request, created_at, expires_at, caller
               FROM idempotency_keys, generate_series(1, 9999) AS n",
        )
        .await;
    let refused = world.claim(&ada, "another", REQUEST).await;
    let Err(ServiceError::TooManyKeys(wait)) = refused else { panic!("{refused:?}") };
    assert!((1..=86_401).contains(&wait), "{wait}");
    // Existing keys still work, and other callers are not affected.
    assert!(matches!(world.claim(&ada, "key", REQUEST).await, Ok(Claim::Repeated(_))));
    let bob = world.person("bob", Some(("workspace-1", "admin"))).await;
    world.first(&bob, "another").await;
    world.execute("DELETE FROM idempotency_keys WHERE key = sha256('1')").await;
    world.first(&ada, "another").await;
}

fn with_secret_of(token: TokenId) -> KeptReply {
    KeptReply { secret_of: Some(token), ..reply() }
}

/// Returns how many rows of the audit log show that a secret of this token was displayed again.
async fn shown_again(world: &World, token: TokenId) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM audit_events WHERE action = 'token.reveal' AND subject_id = $1",
    )
    .bind(token.0)
    .fetch_one(&world.pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = false)]
async fn secret_that_is_shown_once_is_in_a_repeated_reply_for_ten_minutes(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let token = world.token("default", &["rivers:read"]).await.token.id;
    let idempotency = world.authority.idempotency();
    let attempt = world.first(&ada, "made").await;
    idempotency.keep(&attempt, &with_secret_of(token)).await.unwrap();
    let refusal = KeptReply { status: 422, ..reply() };
    idempotency.keep(&world.first(&ada, "refused").await, &refusal).await.unwrap();
    // A server of version 0.1 does not record which token's secret a reply contains.
    idempotency.keep(&world.first(&ada, "former").await, &reply()).await.unwrap();
    assert_eq!(shown_again(&world, token).await, 0);
    for pause in [0, 599] {
        world.pass(Duration::seconds(pause));
        let Claim::Repeated(kept) = world.claim(&ada, "made", REQUEST).await.unwrap() else {
            panic!("not done before")
        };
        assert_eq!(kept, with_secret_of(token));
        assert!(matches!(world.claim(&ada, "former", REQUEST).await, Ok(Claim::Repeated(_))));
    }
    assert_eq!(shown_again(&world, token).await, 2);
    world.pass(Duration::seconds(1));
    for key in ["made", "former"] {
        let late = world.claim(&ada, key, REQUEST).await;
        assert!(matches!(late, Err(ServiceError::RevealNotAllowed)), "{key}: {late:?}");
    }
    assert_eq!(shown_again(&world, token).await, 2);
    // A reply without a secret is repeated for a day.
    world.pass(Duration::hours(23));
    assert!(matches!(world.claim(&ada, "refused", REQUEST).await, Ok(Claim::Repeated(_))));
}

#[sqlx::test(migrations = false)]
async fn caller_who_may_no_longer_hold_the_secret_gets_no_repeated_reply(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let wish = |scopes: &[&str]| authority::TokenDraft {
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(scopes)
    };
    let maker = world.mint(&ada, "workspace-1", wish(&["tokens:write", "rivers:read"])).await;
    let asks = world.bearer(&maker).await;
    let made = world.mint(&asks, "workspace-1", draft(&["rivers:read"])).await.token.id;
    let attempt = world.first(&asks, "key").await;
    world.authority.idempotency().keep(&attempt, &with_secret_of(made)).await.unwrap();
    assert!(matches!(world.claim(&asks, "key", REQUEST).await, Ok(Claim::Repeated(_))));
    let less = TokenPatch { scopes: Some(vec!["tokens:write".into()]), ..TokenPatch::default() };
    world.authority.tokens().update(&ada, maker.token.id, None, less).await.unwrap();
    let asks = world.bearer(&maker).await;
    let refused = world.claim(&asks, "key", REQUEST).await;
    assert!(matches!(refused, Err(ServiceError::Forbidden(_))), "{refused:?}");
    assert_eq!(shown_again(&world, made).await, 1);
}
