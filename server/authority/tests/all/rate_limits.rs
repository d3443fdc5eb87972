//! Rate limits of tokens: set on the record, and counted at verification as the last check.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand, draft};
use authority::{Decision, Edit, MintedToken, Rejection, TokenDraft, TokenPatch};
use domain::{
    decision::{DecisionCode, Demand},
    rate_limit::{RateLimit, RateLimitError},
};
use sqlx::PgPool;
use time::Duration;

fn limit(uses: i64, window_s: i64) -> Result<RateLimit, RateLimitError> {
    RateLimit::new(uses, window_s)
}

async fn limited(world: &World, uses: i64) -> MintedToken {
    let wish = TokenDraft { rate_limit: limit(uses, 60).map(Some), ..draft(&["rivers:read"]) };
    world.mint(&world.owner().await, "workspace-1", wish).await
}

async fn ask(world: &World, token: &str, demand: &Demand) -> Decision {
    world.authority.verification().decide(&world.anonymous(), token, demand).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn rate_limit_is_checked_last_and_charged_only_for_uses(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = limited(&world, 2).await;
    let text = minted.secret.expose();
    let wrong = demand("default", &["rivers:run"]);
    let good = demand("default", &["rivers:read"]);
    let left = |decision: Decision| (decision.code, decision.rate.map(|rate| rate.remaining));
    for _ in 0..5 {
        let refused = left(ask(&world, text, &wrong).await);
        assert_eq!(refused, (DecisionCode::InsufficientScope, None));
    }
    assert_eq!(left(ask(&world, text, &good).await), (DecisionCode::Valid, Some(1)));
    assert_eq!(left(ask(&world, text, &good).await), (DecisionCode::Valid, Some(0)));
    let refused = ask(&world, text, &good).await;
    assert_eq!(refused.code, DecisionCode::RateLimited);
    assert_eq!(refused.rate.unwrap().retry_after_s, 30);
    // The other codes take precedence, whether or not the limit is used up.
    assert_eq!(left(ask(&world, text, &wrong).await).0, DecisionCode::InsufficientScope);
    // All ways to verify draw on the same limit.
    let ctx = world.anonymous();
    let outcome = world.authority.verification().authenticate(&ctx, text).await;
    let Err(Rejection::Refused(decision)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(decision.code, DecisionCode::RateLimited);
    let ada = world.owner().await;
    let asked = world.authority.verification().verify(&ada, text, &good).await.unwrap();
    assert_eq!(asked.code, DecisionCode::RateLimited);
    world.pass(Duration::seconds(30));
    assert_eq!(left(ask(&world, text, &good).await), (DecisionCode::Valid, Some(0)));
    // Refused requests are counted as refused, and not as uses.
    world.authority.flush_usage().await;
    let (allowed, refused): (i64, i64) = sqlx::query_as(
        "SELECT sum(allowed)::bigint, sum(refused)::bigint FROM usage_hours WHERE token_id = $1",
    )
    .bind(minted.token.id.0)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!((allowed, refused), (3, 9));
}

#[sqlx::test(migrations = false)]
async fn token_without_a_limit_is_never_rate_limited(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    for _ in 0..100 {
        let decision = ask(&world, minted.secret.expose(), &Demand::default()).await;
        assert_eq!((decision.code, decision.rate), (DecisionCode::Valid, None));
    }
}

#[sqlx::test(migrations = false)]
async fn limit_is_cloned_changed_removed_and_audited(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let ada = world.owner().await;
    let minted = limited(&world, 2).await;
    assert_eq!(minted.token.rate_limit, limit(2, 60).ok());
    let clone = tokens.clone_of(&ada, minted.token.id, None, "copy".into()).await.unwrap();
    assert_eq!(clone.token.rate_limit, limit(2, 60).ok());
    // Each token has its own limit.
    for text in [minted.secret.expose(), clone.secret.expose()] {
        for code in [DecisionCode::Valid, DecisionCode::Valid, DecisionCode::RateLimited] {
            assert_eq!(world.decide(text, &Demand::default()).await, code);
        }
    }
    let patch = |rate_limit| TokenPatch { rate_limit, ..TokenPatch::default() };
    let id = minted.token.id;
    let same = tokens.update(&ada, id, None, patch(Edit::Set(limit(2, 60)))).await.unwrap();
    assert_eq!(same.version, 1, "nothing was changed");
    let changed = tokens.update(&ada, id, None, patch(Edit::Set(limit(5, 10)))).await.unwrap();
    assert_eq!((changed.rate_limit, changed.version), (limit(5, 10).ok(), 2));
    assert!(tokens.update(&ada, id, None, patch(Edit::Set(limit(0, 10)))).await.is_err());
    let changed = tokens.update(&ada, id, None, patch(Edit::Remove)).await.unwrap();
    assert_eq!((changed.rate_limit, changed.version), (None, 3));
    assert_eq!(world.decide(minted.secret.expose(), &Demand::default()).await, DecisionCode::Valid);
    let audited: Vec<(Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT before #>> '{rate_limit,limit}', after #>> '{rate_limit,limit}' FROM audit_events
          WHERE subject_id = $1 ORDER BY id",
    )
    .bind(id.0)
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(audited, [(None, text("2")), (text("2"), text("5")), (text("5"), None)]);
}
