//! A token that created many others is stopped at once, and its descendants follow.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::time::Duration as Wait;

use crate::support::{World, draft, slug, until};
use authority::{BulkAction, MintedToken, PolicyLevel, RotationDraft, ServiceError, TokenDraft};
use domain::{
    decision::{DecisionCode, Demand},
    policy::{OnParentEnd, OnReuse, PolicyRules},
    problem::ProblemCode,
};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

const HOME: &str = "workspace-1";

fn maker(name: &str) -> TokenDraft {
    TokenDraft {
        name: name.into(),
        audiences: vec!["default".into(), "tessera".into()],
        ..draft(&["tokens:write", "rivers:read"])
    }
}

/// Creates a token, its child and its grandchild.
async fn family(world: &World) -> [MintedToken; 3] {
    let parent = world.mint(&world.owner().await, HOME, maker("parent")).await;
    let child = world.mint(&world.bearer(&parent).await, HOME, maker("child")).await;
    let grandchild = world.mint(&world.bearer(&child).await, HOME, maker("grandchild")).await;
    [parent, child, grandchild]
}

async fn decision(world: &World, token: &MintedToken) -> DecisionCode {
    world.decide(token.secret.expose(), &Demand::default()).await
}

/// Locks a token's row, as a slow change does.
async fn hold(world: &World, token: &MintedToken) -> Transaction<'static, Postgres> {
    let mut other = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM tokens WHERE id = $1 FOR UPDATE")
        .bind(token.token.id.0)
        .execute(&mut *other)
        .await
        .unwrap();
    other
}

/// Disables a token with its descendants, in a separate task.
async fn disable(world: &World, token: &MintedToken) -> JoinHandle<Result<(), ServiceError>> {
    let (authority, id, ada) = (world.authority.clone(), token.token.id, world.owner().await);
    tokio::spawn(async move {
        authority.tokens().disable_with_children(&ada, id, None, true).await.map(drop)
    })
}

/// Waits until a token is disabled while its children are not.
async fn is_disabled(world: &World, token: &MintedToken) {
    for _ in 0..1_000 {
        if decision(world, token).await == DecisionCode::Disabled {
            return;
        }
        tokio::time::sleep(Wait::from_millis(5)).await;
    }
    panic!("the token is not stopped");
}

async fn notes(world: &World) -> i64 {
    let notes = sqlx::query_scalar("SELECT count(*) FROM descendant_stops");
    notes.fetch_one(&world.pool).await.unwrap()
}

async fn set(world: &World, rules: PolicyRules) {
    let level = PolicyLevel::Workspace(slug(HOME));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
}

/// Inserts this many descendants of a token, in chains of ten each.
async fn make_many(world: &World, parent: &MintedToken, number: i32) {
    sqlx::query(
        "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, created_at, updated_at, parent_id, within_parent)
         SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, workspace_id, user_id, 'n' || n, scopes,
                hint, created_at, updated_at,
                CASE WHEN n % 10 = 1 THEN id ELSE ('00000000-0000-0000-0000-' || lpad(to_hex(n - 1), 12, '0'))::uuid END, true
           FROM tokens, generate_series(1, $2) n WHERE id = $1",
    )
    .bind(parent.token.id.0)
    .bind(number)
    .execute(&world.pool)
    .await
    .unwrap();
}

#[sqlx::test(migrations = false)]
async fn token_is_stopped_while_its_descendant_is_locked(pool: PgPool) {
    let world = World::founded(pool).await;
    let [parent, child, grandchild] = family(&world).await;
    let other = hold(&world, &grandchild).await;
    let stop = disable(&world, &parent).await;
    // If the stop of the token waited for the held lock, this would wait, too.
    is_disabled(&world, &parent).await;
    assert!(!stop.is_finished(), "the response waits for all of them");
    other.rollback().await.unwrap();
    stop.await.unwrap().unwrap();
    for token in [&child, &grandchild] {
        assert_eq!(decision(&world, token).await, DecisionCode::Disabled);
    }
    assert_eq!(notes(&world).await, 0);
}

#[sqlx::test(migrations = false)]
async fn all_named_tokens_are_stopped_before_their_descendants(pool: PgPool) {
    let world = World::founded(pool).await;
    let [one, child, _] = family(&world).await;
    let [two, ..] = family(&world).await;
    let other = hold(&world, &child).await;
    let (authority, ada) = (world.authority.clone(), world.owner().await);
    let ids = [one.token.id, two.token.id];
    let stop = tokio::spawn(async move {
        let tokens = authority.tokens();
        tokens.bulk_with_children(&ada, &slug(HOME), BulkAction::Disable, &ids, true).await
    });
    is_disabled(&world, &two).await;
    other.rollback().await.unwrap();
    assert!(stop.await.unwrap().unwrap().iter().all(|one| one.outcome.is_ok()));
    assert_eq!(decision(&world, &child).await, DecisionCode::Disabled);
}

#[sqlx::test(migrations = false)]
async fn stop_left_by_one_server_is_completed_by_another(pool: PgPool) {
    let world = World::founded(pool).await;
    let [parent, child, grandchild] = family(&world).await;
    let other = hold(&world, &child).await;
    let stop = disable(&world, &parent).await;
    is_disabled(&world, &parent).await;
    // Its caller has disconnected, and the server has stopped working on it.
    stop.abort();
    assert!(stop.await.is_err());
    other.rollback().await.unwrap();
    world.authority.stop_noted_descendants().await.unwrap();
    assert_eq!(
        decision(&world, &child).await,
        DecisionCode::Valid,
        "the first server still holds the note"
    );
    world.execute("UPDATE descendant_stops SET worked_until = now()").await;
    world.authority.stop_noted_descendants().await.unwrap();
    for token in [&child, &grandchild] {
        assert_eq!(decision(&world, token).await, DecisionCode::Disabled);
    }
    assert_eq!(notes(&world).await, 0);
    let ada = world.owner().await;
    let shown = world.authority.tokens().show(&ada, child.token.id).await.unwrap();
    assert_eq!(shown.disabled_by.unwrap().user.unwrap().name, "Ada");
    let told: (String, String, Uuid) = sqlx::query_as(
        "SELECT actor_name, action, subject_id FROM audit_events ORDER BY seq DESC LIMIT 1",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    let (actor, action, subject) = told;
    assert_eq!((&*actor, &*action), ("Ada", "token.disable"));
    // Either of them may be the last, because they were created at the same time.
    assert!([child.token.id.0, grandchild.token.id.0].contains(&subject));
}

#[sqlx::test(migrations = false)]
async fn no_descendant_changes_tokens_while_they_are_being_stopped(pool: PgPool) {
    let world = World::founded(pool).await;
    let [parent, child, grandchild] = family(&world).await;
    let stranger = world.mint(&world.owner().await, HOME, maker("stranger")).await;
    let mut callers = Vec::new();
    for token in [&child, &grandchild] {
        callers.push(world.bearer(token).await);
    }
    let other = hold(&world, &grandchild).await;
    let stop = disable(&world, &parent).await;
    is_disabled(&world, &parent).await;
    let tokens = world.authority.tokens();
    for ctx in &callers {
        let made = tokens.create(ctx, &slug(HOME), draft(&["rivers:read"])).await;
        assert_eq!(made.unwrap_err().code(), ProblemCode::Busy);
        let enabled = tokens.enable(ctx, parent.token.id, None).await;
        assert_eq!(enabled.unwrap_err().code(), ProblemCode::Busy);
    }
    world.mint(&world.bearer(&stranger).await, HOME, draft(&["rivers:read"])).await;
    other.rollback().await.unwrap();
    stop.await.unwrap().unwrap();
}

/// The stop waits for work that a descendant began before it was noted, and stops the result, too.
#[sqlx::test(migrations = false)]
async fn token_created_during_the_stop_is_stopped(pool: PgPool) {
    let world = World::founded(pool).await;
    let [parent, child, _] = family(&world).await;
    let cap = PolicyRules { max_tokens: Some(100), ..PolicyRules::default() };
    set(&world, cap).await;
    let mut other = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM workspaces FOR NO KEY UPDATE").execute(&mut *other).await.unwrap();
    let (authority, ctx) = (world.authority.clone(), world.bearer(&child).await);
    // The creation is authorised, and now waits for the workspace's row.
    let late = tokio::spawn(async move {
        authority.tokens().create(&ctx, &slug(HOME), draft(&["rivers:read"])).await
    });
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    until("the creation to wait for the lock", async || {
        sqlx::query_scalar::<_, bool>(waits).fetch_one(&world.pool).await.unwrap()
    })
    .await;
    let stop = disable(&world, &parent).await;
    is_disabled(&world, &parent).await;
    // The stop waits for the work that began before.
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory')";
    until("the stop to wait or to finish", async || {
        stop.is_finished()
            || sqlx::query_scalar::<_, bool>(waits).fetch_one(&world.pool).await.unwrap()
    })
    .await;
    other.rollback().await.unwrap();
    let late = late.await.unwrap().unwrap();
    stop.await.unwrap().unwrap();
    assert_eq!(decision(&world, &late).await, DecisionCode::Disabled);
}

#[sqlx::test(migrations = false)]
async fn thousands_are_stopped_with_few_statements_and_each_has_an_audit_row(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let parent = world.mint(&ada, HOME, maker("parent")).await;
    make_many(&world, &parent, 2_500).await;
    let tokens = world.authority.tokens();
    let transactions = async || -> i64 {
        let count = sqlx::query_scalar(
            "SELECT count(DISTINCT xmin::text) FROM tokens WHERE parent_id IS NOT NULL",
        );
        count.fetch_one(&world.pool).await.unwrap()
    };
    let count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap()
    };
    tokens.disable_with_children(&ada, parent.token.id, None, true).await.unwrap();
    assert_eq!(transactions().await, 5);
    let stopped =
        "SELECT count(*) FROM tokens WHERE NOT enabled AND disabled_as = 'owner' AND version = 2";
    assert_eq!(count(stopped).await, 2_501);
    let rows = "SELECT count(DISTINCT subject_id) FROM audit_events WHERE action = 'token.disable'
                   AND before->'enabled' = 'true' AND after->'enabled' = 'false'";
    assert_eq!(count(rows).await, 2_501);
    // A deleted token in between does not cut off its descendants.
    world.execute("UPDATE tokens SET deleted_at = now() WHERE name = 'n5'").await;
    tokens.delete_with_children(&ada, parent.token.id, None, true).await.unwrap();
    assert_eq!(count("SELECT count(*) FROM tokens WHERE deleted_at IS NULL").await, 0);
    let rows = "SELECT count(*) FROM audit_events WHERE action = 'token.delete' AND before IS NOT NULL AND after IS NULL";
    assert_eq!(count(rows).await, 2_500);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
}

#[sqlx::test(migrations = false)]
async fn reuse_stops_the_token_without_waiting_for_its_descendants(pool: PgPool) {
    let world = World::founded(pool).await;
    let rules = PolicyRules {
        on_parent_end: Some(OnParentEnd::End),
        on_reuse: Some(OnReuse::Disable),
        ..PolicyRules::default()
    };
    set(&world, rules).await;
    let [parent, child, grandchild] = family(&world).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    tokens.rotate(&ada, parent.token.id, None, RotationDraft::default()).await.unwrap();
    let other = hold(&world, &child).await;
    assert_eq!(decision(&world, &parent).await, DecisionCode::Expired);
    let token = tokens.show(&ada, parent.token.id).await.unwrap();
    assert!(!token.enabled && token.reused_at.is_some());
    other.rollback().await.unwrap();
    world.authority.stop_noted_descendants().await.unwrap();
    for token in [&child, &grandchild] {
        assert_eq!(decision(&world, token).await, DecisionCode::Disabled);
    }
}
