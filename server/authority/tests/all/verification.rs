//! Verification: every code that can be reached, and who may verify.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand, draft, slug};
use authority::{Rejection, ServiceError, TokenDraft};
use domain::decision::{DecisionCode, Demand};
use futures::{FutureExt as _, future::join_all};
use sqlx::PgPool;
use time::Duration;

#[sqlx::test(migrations = false)]
async fn each_reason_has_its_code(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let text = world.token("default", &["rivers:write"]).await.secret;
    let text = text.expose();
    let run = |scope: &str| demand("default", &[scope]);
    assert_eq!(world.decide(text, &run("rivers:write")).await, DecisionCode::Valid);
    assert_eq!(world.decide(text, &run("rivers:read")).await, DecisionCode::Valid, "implied");
    assert_eq!(world.decide(text, &run("rivers:run")).await, DecisionCode::InsufficientScope);
    assert_eq!(world.decide(text, &run("no:such")).await, DecisionCode::InsufficientScope);
    assert_eq!(world.decide(text, &demand("tessera", &[])).await, DecisionCode::AudienceMismatch);
    let elsewhere = Demand { workspace: Some(slug("other")), ..Demand::default() };
    assert_eq!(world.decide(text, &elsewhere).await, DecisionCode::NotFound);
    assert_eq!(world.decide("XYZ", &run("rivers:run")).await, DecisionCode::Malformed);
    let mistyped = text.replace(&text[10..11], if &text[10..11] == "x" { "y" } else { "x" });
    assert_eq!(world.decide(&mistyped, &run("rivers:run")).await, DecisionCode::Malformed);
    let unknown = domain::token_text::compose("tsr", "abcdefghijklmnopqrstuvwxyz0123");
    assert_eq!(world.decide(&unknown, &run("rivers:run")).await, DecisionCode::NotFound);

    let later =
        TokenDraft { not_before: Some("2026-02-01T00:00:00Z".into()), ..draft(&["rivers:read"]) };
    let later = world.mint(&ada, "workspace-1", later).await.secret;
    assert_eq!(world.decide(later.expose(), &Demand::default()).await, DecisionCode::NotYetValid);

    let bound = TokenDraft { ip_allow: vec!["10.0.0.0/8".into()], ..draft(&["rivers:read"]) };
    let bound = world.mint(&ada, "workspace-1", bound).await.secret;
    let from = |ip: &str| Demand { ip: Some(ip.parse().unwrap()), ..Demand::default() };
    assert_eq!(world.decide(bound.expose(), &from("10.9.9.9")).await, DecisionCode::Valid);
    assert_eq!(world.decide(bound.expose(), &from("192.0.2.1")).await, DecisionCode::IpDenied);
    assert_eq!(world.decide(bound.expose(), &Demand::default()).await, DecisionCode::IpDenied);

    world.execute("UPDATE tokens SET enabled = false WHERE ip_allow <> '{}'").await;
    assert_eq!(world.decide(bound.expose(), &from("10.9.9.9")).await, DecisionCode::Disabled);
    world.execute("UPDATE users SET enabled = false").await;
    assert_eq!(world.decide(text, &run("rivers:write")).await, DecisionCode::OwnerDisabled);
    world.pass(Duration::days(90));
    assert_eq!(world.decide(text, &run("rivers:write")).await, DecisionCode::Expired);
}

#[sqlx::test(migrations = false)]
async fn malformed_token_is_refused_without_a_query(pool: PgPool) {
    let world = World::founded(pool).await;
    let unknown = domain::token_text::compose("tsr", "abcdefghijklmnopqrstuvwxyz0123");
    // The database is closed. Tokens that need no lookup are still answered, and others are not.
    world.authority.close().await;
    for text in ["", "XYZ", "tsr_abcdefghijklmnopqrstuvwxyz0123456789", "tsr_é"] {
        assert_eq!(world.decide(text, &Demand::default()).await, DecisionCode::Malformed);
    }
    let ctx = world.anonymous();
    let outcome = world.authority.verification().decide(&ctx, &unknown, &Demand::default()).await;
    assert!(matches!(outcome, Err(ServiceError::Unavailable(_))), "fails closed");
}

#[sqlx::test(migrations = false)]
async fn verifying_other_tokens_needs_the_right_and_stays_in_the_workspace(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let target = world.token("default", &["rivers:read"]).await;
    let foreign = world.mint(&world.owner().await, "other", draft(&["rivers:read"])).await;
    let verification = world.authority.verification();
    let read = demand("default", &["rivers:read"]);
    let of = async |ctx: &authority::OpContext, text: &str| {
        verification.verify(ctx, text, &read).await.map(|decision| decision.code)
    };

    let plain = world.bearer(&target).await;
    assert!(matches!(
        of(&plain, target.secret.expose()).await,
        Err(ServiceError::InsufficientScope("verify"))
    ));
    assert!(matches!(
        of(&world.anonymous(), target.secret.expose()).await,
        Err(ServiceError::Unauthenticated)
    ));

    let verifier = world.person("verifier", Some(("workspace-1", "verifier"))).await;
    assert_eq!(of(&verifier, target.secret.expose()).await.unwrap(), DecisionCode::Valid);
    assert_eq!(of(&verifier, foreign.secret.expose()).await.unwrap(), DecisionCode::NotFound);
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    assert!(matches!(of(&viewer, target.secret.expose()).await, Err(ServiceError::Forbidden(_))));

    // A token of a workspace's administrator verifies only its own workspace. A token of the
    // instance's owner verifies all.
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    let asks = || TokenDraft { audiences: vec!["tessera".into()], ..draft(&["verify"]) };
    let at_home = world.bearer(&world.mint(&admin, "workspace-1", asks()).await).await;
    assert_eq!(of(&at_home, target.secret.expose()).await.unwrap(), DecisionCode::Valid);
    assert_eq!(of(&at_home, foreign.secret.expose()).await.unwrap(), DecisionCode::NotFound);
    let everywhere = world.bearer(&world.token("tessera", &["verify"]).await).await;
    assert_eq!(of(&everywhere, foreign.secret.expose()).await.unwrap(), DecisionCode::Valid);
}

#[sqlx::test(migrations = false)]
async fn invalid_credential_reports_the_reason(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let ada = world.owner().await;
    world.authority.tokens().delete(&ada, minted.token.id, None).await.unwrap();
    let ctx = world.anonymous();
    let outcome = world.authority.verification().authenticate(&ctx, minted.secret.expose()).await;
    let Err(Rejection::Refused(decision)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(decision.code, DecisionCode::Revoked);
}

#[sqlx::test(migrations = false)]
async fn last_use_is_written_in_batches_and_once_a_minute(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let minted = world.token("default", &["rivers:read"]).await;
    let from = Demand { ip: Some("10.0.0.1".parse().unwrap()), ..Demand::default() };
    let last = async || {
        world.authority.flush_usage().await;
        world.authority.tokens().show(&ada, minted.token.id).await.unwrap().last_used_at
    };
    assert_eq!(last().await, None);
    world.decide(minted.secret.expose(), &from).await;
    assert_eq!(last().await, Some(crate::support::START));
    world.pass(Duration::seconds(30));
    world.decide(minted.secret.expose(), &from).await;
    assert_eq!(last().await, Some(crate::support::START), "within the minute");
    world.pass(Duration::seconds(30));
    world.decide(minted.secret.expose(), &from).await;
    assert_eq!(last().await, Some(crate::support::START + Duration::minutes(1)));
    let refused = demand("default", &["rivers:run"]);
    world.pass(Duration::minutes(5));
    world.decide(minted.secret.expose(), &refused).await;
    assert_eq!(
        last().await,
        Some(crate::support::START + Duration::minutes(1)),
        "refusals are not uses"
    );
}

/// More concurrent verifications than permitted queries. Waiting ones share a query.
#[sqlx::test(migrations = false)]
async fn every_item_of_a_batch_gets_its_own_answer(pool: PgPool) {
    let world = World::founded(pool).await;
    let mut asked = Vec::new();
    for number in 0..20 {
        let scope = if number % 2 == 0 { "rivers:read" } else { "rivers:run" };
        let secret = world.token("default", &[scope]).await.secret;
        let expected =
            if number % 2 == 0 { DecisionCode::Valid } else { DecisionCode::InsufficientScope };
        asked.push((secret.expose().to_owned(), expected));
        let unknown = domain::token_text::compose("tsr", &format!("{number:030}"));
        asked.push((unknown, DecisionCode::NotFound));
    }
    // A malformed row must not fail the rest of the batch.
    let broken = world.token("default", &["rivers:read"]).await;
    sqlx::query("UPDATE tokens SET ip_allow = '{everywhere}' WHERE id = $1")
        .bind(broken.token.id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    let read = demand("default", &["rivers:read"]);
    let (ctx, verification) = (world.anonymous(), world.authority.verification());
    let all = join_all(asked.iter().map(|(text, _)| verification.decide(&ctx, text, &read)));
    let own = verification.decide(&ctx, broken.secret.expose(), &read);
    let (answers, own) = tokio::join!(all, own);
    for ((_, expected), answer) in asked.iter().zip(answers) {
        assert_eq!(answer.unwrap().code, *expected);
    }
    assert!(matches!(own, Err(ServiceError::Internal(_))), "{own:?}");
    // A caller that disconnects must not cancel the others.
    let (first, second) = (&asked[0].0, &asked[4].0);
    let gone = verification.decide(&ctx, first, &read);
    assert!(gone.now_or_never().is_none());
    assert_eq!(verification.decide(&ctx, second, &read).await.unwrap().code, DecisionCode::Valid);
}
