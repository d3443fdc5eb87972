//! The token limit under concurrency: of many concurrent creations at the limit, exactly as many
//! succeed as there is room for.
//!
//! `make drill-races` runs this a thousand times.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::sync::Arc;

use crate::support::{World, draft, rounds, slug};
use authority::{PolicyLevel, ServiceError};
use domain::policy::PolicyRules;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Barrier;

/// Concurrent creations, each on its own connection.
const CROWD: u32 = 64;
const LIMIT: i64 = 3;

async fn race(options: PgConnectOptions, level: PolicyLevel) {
    let pool = PgPoolOptions::new().max_connections(CROWD + 2).connect_with(options).await.unwrap();
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let ada = world.owner().await;
    let cap = PolicyRules { max_tokens: Some(LIMIT), ..PolicyRules::default() };
    // All creations are in one workspace for the workspace's limit, and spread over two for
    // the instance's.
    let spread = level == PolicyLevel::Instance;
    world.authority.policies().change(&ada, &level, cap, None).await.unwrap();
    for _ in 1..LIMIT {
        world.token("default", &["rivers:read"]).await;
    }
    for round in 0..rounds(20) {
        let barrier = Arc::new(Barrier::new(CROWD as usize));
        let attempts: Vec<_> = (0..CROWD)
            .map(|index| {
                let (authority, ada, barrier) =
                    (world.authority.clone(), ada.clone(), barrier.clone());
                let workspace = if spread && index % 2 == 1 { "other" } else { "workspace-1" };
                tokio::spawn(async move {
                    barrier.wait().await;
                    let draft = draft(&["rivers:read"]);
                    authority.tokens().create(&ada, &slug(workspace), draft).await
                })
            })
            .collect();
        let mut made = Vec::new();
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(minted) => made.push(minted.token.id),
                Err(ServiceError::TokenLimitReached(LIMIT)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(made.len(), 1, "round {round}");
        world.authority.tokens().delete(&ada, made[0], None).await.unwrap();
    }
    world.authority.close().await;
    world.pool.close().await;
}

#[sqlx::test(migrations = false)]
async fn concurrent_creations_at_a_workspace_limit_create_one_token(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    race(options, PolicyLevel::Workspace(slug("workspace-1"))).await;
}

#[sqlx::test(migrations = false)]
async fn concurrent_creations_at_the_instance_limit_create_one_token(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    race(options, PolicyLevel::Instance).await;
}
