//! A token that expires soon cannot give other tokens the right to renew themselves beyond
//! its expiry.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, draft, slug};
use authority::{MintedToken, OpContext, RotationDraft, TokenDraft, TokenPatch};
use domain::{expiry::ExpiryChoice, ids::TokenId, token::Token};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

const HOME: &str = "workspace-1";

fn manager(name: &str, end: Option<Duration>) -> TokenDraft {
    let choice =
        end.map_or(ExpiryChoice::Never, |end| ExpiryChoice::At(crate::support::START + end));
    TokenDraft {
        name: name.into(),
        audiences: vec!["default".into(), "tessera".into()],
        expiry: Ok(choice),
        ..draft(&["tokens:write", "rivers:read"])
    }
}

fn plain(name: &str, life: Duration) -> TokenDraft {
    let choice = ExpiryChoice::At(crate::support::START + life);
    TokenDraft { name: name.into(), expiry: Ok(choice), ..draft(&["rivers:read"]) }
}

fn ends(end: OffsetDateTime) -> TokenPatch {
    TokenPatch { expiry: Some(Ok(ExpiryChoice::At(end))), ..TokenPatch::default() }
}

async fn presents(world: &World, minted: &MintedToken) -> OpContext {
    world.bearer(minted).await
}

/// Lets the token renew itself as often as it can within ten minutes. Returns its last expiry.
async fn renewed(world: &World, mut minted: MintedToken) -> OffsetDateTime {
    for _ in 0..20 {
        world.pass(Duration::seconds(30));
        let ctx = world.anonymous();
        let verification = world.authority.verification();
        let Ok(actor) = verification.authenticate(&ctx, minted.secret.expose()).await else {
            break;
        };
        let ctx = world.context(actor);
        let tokens = world.authority.tokens();
        minted = tokens.rotate_self(&ctx, None, RotationDraft::default()).await.unwrap();
    }
    minted.token.expires_at.unwrap()
}

/// Returns a token that was changed in the meantime, together with its secret.
async fn with(world: &World, minted: MintedToken, id: TokenId) -> MintedToken {
    let token: Token = world.authority.tokens().show(&world.owner().await, id).await.unwrap();
    MintedToken { token, ..minted }
}

#[sqlx::test(migrations = false)]
async fn token_rotated_by_another_token_never_outlives_it(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let caller =
        world.mint(&ada, HOME, manager("about to expire", Some(Duration::minutes(2)))).await;
    let end = caller.token.expires_at.unwrap();
    let asks = presents(&world, &caller).await;
    let wish =
        || RotationDraft { expiry: Some(Ok(ExpiryChoice::At(end))), ..RotationDraft::default() };
    let ended = world.mint(&ada, HOME, plain("ended", Duration::hours(1))).await.token;
    tokens.expire(&ada, ended.id, None).await.unwrap();
    let lives = world.mint(&ada, HOME, plain("lives", Duration::minutes(1))).await.token;
    for (place, id) in [ended.id, lives.id].into_iter().enumerate() {
        let rotated = tokens.rotate(&asks, id, None, wish()).await.unwrap();
        assert_eq!(rotated.token.expires_at, Some(end));
        if place == 1 {
            assert_eq!(renewed(&world, rotated).await, end);
        } else {
            let own = presents(&world, &rotated).await;
            let own = tokens.rotate_self(&own, None, RotationDraft::default()).await.unwrap();
            assert_eq!(own.token.expires_at, Some(end));
        }
    }
    // A person gives it a lifetime again.
    let again = tokens.rotate(
        &ada,
        lives.id,
        None,
        RotationDraft { expiry: Some(Ok(ExpiryChoice::In(600))), ..RotationDraft::default() },
    );
    let again = again.await.unwrap();
    let first = again.token.expires_at.unwrap();
    assert!(renewed(&world, again).await > first);
}

#[sqlx::test(migrations = false)]
async fn token_extended_enabled_or_unbound_by_another_token_never_outlives_it(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let caller =
        world.mint(&ada, HOME, manager("about to expire", Some(Duration::minutes(3)))).await;
    let end = caller.token.expires_at.unwrap();
    let asks = presents(&world, &caller).await;

    let prolonged = world.mint(&ada, HOME, plain("prolonged", Duration::minutes(1))).await;
    tokens.update(&asks, prolonged.token.id, None, ends(end)).await.unwrap();
    let disabled = world.mint(&ada, HOME, plain("disabled", Duration::minutes(2))).await;
    tokens.disable(&ada, disabled.token.id, None).await.unwrap();
    tokens.enable(&asks, disabled.token.id, None).await.unwrap();
    let switched = world.mint(&ada, HOME, plain("switched", Duration::minutes(2))).await;
    tokens.disable(&ada, switched.token.id, None).await.unwrap();
    let on = TokenPatch { enabled: Some(true), ..TokenPatch::default() };
    tokens.update(&asks, switched.token.id, None, on).await.unwrap();
    let bound =
        TokenDraft { ip_allow: vec!["192.0.2.1".into()], ..plain("bound", Duration::minutes(2)) };
    let bound = world.mint(&ada, HOME, bound).await;
    let anywhere = TokenPatch { ip_allow: Some(Vec::new()), ..TokenPatch::default() };
    tokens.update(&asks, bound.token.id, None, anywhere).await.unwrap();
    for minted in [prolonged, disabled, switched, bound] {
        let id = minted.token.id;
        let given = with(&world, minted, id).await;
        let last = given.token.expires_at.unwrap();
        let own = presents(&world, &given).await;
        world.pass(Duration::seconds(5));
        let own = tokens.rotate_self(&own, None, RotationDraft::default()).await.unwrap();
        assert_eq!(own.token.expires_at, Some(last), "{}", own.token.name);
    }
}

#[sqlx::test(migrations = false)]
async fn token_renews_itself_after_its_creator_changed_it_but_not_beyond_its_creator(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let caller = world.mint(&ada, HOME, manager("maker", Some(Duration::minutes(5)))).await;
    let end = caller.token.expires_at.unwrap();
    let asks = presents(&world, &caller).await;
    let child = world.mint(&asks, HOME, plain("child", Duration::minutes(1))).await;
    let longer = crate::support::START + Duration::minutes(2);
    tokens.update(&asks, child.token.id, None, ends(longer)).await.unwrap();
    let given = with(&world, child, tokens_id(&world, "child").await).await;
    assert_eq!(renewed(&world, given).await, end);
}

async fn tokens_id(world: &World, name: &str) -> TokenId {
    let id = sqlx::query_scalar("SELECT id FROM tokens WHERE name = $1").bind(name);
    TokenId(id.fetch_one(&world.pool).await.unwrap())
}

#[sqlx::test(migrations = false)]
async fn earlier_end_does_not_lengthen_the_recorded_lifetime(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let parent = world.mint(&ada, HOME, manager("parent", None)).await;
    let grace = RotationDraft { grace_s: Some(120), ..RotationDraft::default() };
    let newer = tokens.rotate(&ada, parent.token.id, None, grace).await.unwrap();
    presents(&world, &newer).await;
    // With the replaced secret.
    let older = presents(&world, &parent).await;
    let wish = TokenDraft { expiry: domain::expiry::parse(""), ..manager("child", None) };
    let make = async |name: &str| {
        let wish = TokenDraft { name: name.into(), ..wish.clone() };
        tokens.create(&older, &slug(HOME), wish).await.unwrap()
    };
    let (by_itself, by_person) = (make("by itself").await, make("by a person").await);
    let end = by_itself.token.expires_at.unwrap();
    assert_eq!(end, crate::support::START + Duration::minutes(2));
    let earlier = end - Duration::seconds(2);
    for (minted, itself) in [(by_itself, true), (by_person, false)] {
        let own = presents(&world, &minted).await;
        let id = minted.token.id;
        let caller = if itself { &own } else { &ada };
        tokens.update(caller, id, None, ends(earlier)).await.unwrap();
        let own = presents(&world, &minted).await;
        world.pass(Duration::seconds(10));
        let own_again = tokens.rotate_self(&own, None, RotationDraft::default()).await.unwrap();
        assert_eq!(own_again.token.expires_at, Some(earlier), "{}", minted.token.name);
    }
}
