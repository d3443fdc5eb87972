//! Revoking and introspecting presented tokens, by every kind of caller.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, draft};
use authority::{MintedToken, OpContext, RotationDraft, ServiceError, TokenDraft};
use domain::decision::{DecisionCode, Demand};
use sqlx::PgPool;
use time::Duration;

async fn revoke(world: &World, ctx: &OpContext, minted: &MintedToken) -> Result<(), ServiceError> {
    world.authority.tokens().revoke(ctx, minted.secret.expose()).await
}

async fn code(world: &World, minted: &MintedToken) -> DecisionCode {
    world.decide(minted.secret.expose(), &Demand::default()).await
}

async fn active(world: &World, ctx: &OpContext, minted: &MintedToken) -> bool {
    let verification = world.authority.verification();
    verification.introspect(ctx, minted.secret.expose()).await.unwrap().is_some()
}

async fn deletions(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE action = 'token.delete'")
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

async fn rotated(world: &World, minted: &MintedToken, grace_s: i64) -> MintedToken {
    let ada = world.owner().await;
    let wish = RotationDraft { grace_s: Some(grace_s), ..RotationDraft::default() };
    world.authority.tokens().rotate(&ada, minted.token.id, None, wish).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn people_need_the_right_to_delete_and_learn_nothing_about_other_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("elsewhere").await;
    let minted = world.token("default", &["rivers:read"]).await;
    let stranger = world.person("stranger", Some(("elsewhere", "admin"))).await;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    for ctx in [&stranger, &member] {
        revoke(&world, ctx, &minted).await.unwrap();
        assert_eq!(
            (code(&world, &minted).await, deletions(&world).await),
            (DecisionCode::Valid, 0)
        );
    }
    let refused = revoke(&world, &viewer, &minted).await;
    assert!(matches!(refused, Err(ServiceError::Forbidden(_))), "{refused:?}");
    assert_eq!(code(&world, &minted).await, DecisionCode::Valid);
    revoke(&world, &world.operator(), &minted).await.unwrap();
    assert_eq!((code(&world, &minted).await, deletions(&world).await), (DecisionCode::Revoked, 1));
}

#[sqlx::test(migrations = false)]
async fn either_secret_revokes_the_token_in_grace_and_none_after_its_end(pool: PgPool) {
    let world = World::founded(pool).await;
    let older = world.token("default", &["rivers:read"]).await;
    let newer = rotated(&world, &older, 3_600).await;
    // A token may revoke itself, whichever of its secrets is presented.
    let itself = world.bearer(&newer).await;
    revoke(&world, &itself, &older).await.unwrap();
    assert_eq!((code(&world, &newer).await, deletions(&world).await), (DecisionCode::Revoked, 1));
    let older = world.token("default", &["rivers:read"]).await;
    let newer = rotated(&world, &older, 60).await;
    world.pass(Duration::seconds(60));
    for ctx in [world.anonymous(), world.owner().await] {
        revoke(&world, &ctx, &older).await.unwrap();
        assert_eq!((code(&world, &newer).await, deletions(&world).await), (DecisionCode::Valid, 1));
    }
}

#[sqlx::test(migrations = false)]
async fn concurrent_revocations_leave_one_row(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let anonymous = world.anonymous();
    let once = || revoke(&world, &anonymous, &minted);
    let (a, b, c, d) = tokio::join!(once(), once(), once(), once());
    for outcome in [a, b, c, d] {
        outcome.unwrap();
    }
    assert_eq!((code(&world, &minted).await, deletions(&world).await), (DecisionCode::Revoked, 1));
}

#[sqlx::test(migrations = false)]
async fn introspection_needs_the_right_to_verify_in_the_workspace(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("elsewhere").await;
    let minted = world.token("default", &["rivers:read"]).await;
    let bound = TokenDraft { ip_allow: vec!["192.0.2.1".into()], ..draft(&["rivers:read"]) };
    let bound = world.mint(&world.owner().await, "workspace-1", bound).await;
    let verifier = world.person("verifier", Some(("workspace-1", "verifier"))).await;
    assert!(active(&world, &verifier, &minted).await);
    // The caller's own address is not the bearer's.
    assert!(!active(&world, &verifier, &bound).await);
    let elsewhere = world.person("stranger", Some(("elsewhere", "verifier"))).await;
    assert!(!active(&world, &elsewhere, &minted).await);
    let verification = world.authority.verification();
    for (ctx, text) in [
        (world.anonymous(), minted.secret.expose()),
        (world.anonymous(), "XYZ"),
        (world.person("viewer", Some(("workspace-1", "viewer"))).await, minted.secret.expose()),
    ] {
        assert!(verification.introspect(&ctx, text).await.is_err());
    }
}
