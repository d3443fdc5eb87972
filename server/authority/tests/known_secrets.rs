//! Secrets that a person may know: what becomes of them when the person loses rights, or when a token comes to more.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

mod support;

use authority::{
    Actor, MintedToken, OpContext, RotationDraft, ServiceError, TokenDraft, TokenPatch,
};
use domain::{ids::UserId, problem::ProblemCode, token::Token};
use sqlx::PgPool;
use support::{World, draft};
use time::Duration;

const HOME: &str = "workspace-1";

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn id(ctx: &OpContext) -> UserId {
    match &ctx.actor {
        Actor::User(visitor) | Actor::Restricted(visitor) => visitor.user.id,
        _ => panic!("not a person"),
    }
}

/// Ada, who owns the instance; Wanda and Memb, who administer the workspace; Friend, who only views it.
struct Scene {
    world: World,
    ada: OpContext,
    wanda: OpContext,
    memb: OpContext,
    friend: OpContext,
}

impl Scene {
    async fn new(pool: PgPool) -> Self {
        let world = World::founded(pool).await;
        let ada = world.owner().await;
        let wanda = world.person("wanda", Some((HOME, "admin"))).await;
        let memb = world.person("memb", Some((HOME, "admin"))).await;
        let friend = world.person("friend", Some((HOME, "viewer"))).await;
        Self { world, ada, wanda, memb, friend }
    }

    /// The same caller, a second later.
    fn later(&self, ctx: &OpContext) -> OpContext {
        self.world.pass(Duration::seconds(1));
        let mut ctx = ctx.clone();
        ctx.now = self.world.authority.now();
        ctx
    }

    /// Makes a token that acts as somebody, with these scopes of `tessera` and one of another API.
    async fn mint(&self, by: &OpContext, user: &str, name: &str, scopes: &[&str]) -> MintedToken {
        let mut audiences = vec!["default".to_owned()];
        if !scopes.is_empty() {
            audiences.push("tessera".into());
        }
        let wish = TokenDraft {
            name: name.into(),
            user: Some(format!("{user}@example.com")),
            audiences,
            ..draft(&[&["rivers:read"], scopes].concat())
        };
        self.world.mint(&self.later(by), HOME, wish).await
    }

    async fn hand_over(
        &self,
        by: &OpContext,
        token: &MintedToken,
        user: &str,
    ) -> Result<Token, ServiceError> {
        let user = Some(format!("{user}@example.com"));
        let patch = TokenPatch { user, ..TokenPatch::default() };
        let tokens = self.world.authority.tokens();
        tokens.update(&self.later(by), token.token.id, None, patch).await
    }

    async fn rotate(&self, by: &OpContext, token: &MintedToken) {
        let wish = RotationDraft { grace_s: Some(0), ..RotationDraft::default() };
        let tokens = self.world.authority.tokens();
        tokens.rotate(&self.later(by), token.token.id, None, wish).await.unwrap();
    }

    async fn show(&self, token: &MintedToken) -> Token {
        self.world.authority.tokens().show(&self.ada, token.token.id).await.unwrap()
    }
}

#[sqlx::test(migrations = false)]
async fn token_is_handed_to_an_administrator_of_the_instance_after_a_rotation_only(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, .. } = &scene;
    let token = scene.mint(wanda, "friend", "verifier", &["verify"]).await;
    let plain = scene.mint(wanda, "friend", "plain", &[]).await;
    for token in [&token, &plain] {
        let before = scene.show(token).await;
        let refused = scene.hand_over(ada, token, "ada").await.unwrap_err();
        assert_eq!(refused.code(), ProblemCode::ValidationFailed);
        assert!(format!("{refused:?}").contains("Rotate the token first"), "{refused:?}");
        assert_eq!(scene.show(token).await, before, "nothing was changed");
        scene.rotate(ada, token).await;
        scene.hand_over(ada, token, "ada").await.unwrap();
    }
    let exposed = world.authority.tokens().exposed(&world.operator()).await.unwrap();
    assert_eq!(exposed, []);
    // Friend had the new secret for a while.
    let shared = scene.mint(wanda, "friend", "shared", &[]).await;
    scene.rotate(ada, &shared).await;
    world.pass(Duration::hours(2));
    assert_eq!(code(scene.hand_over(ada, &shared, "ada").await), ProblemCode::ValidationFailed);
    // Ada may hold every secret.
    let own = scene.mint(ada, "friend", "own", &["verify"]).await;
    scene.rotate(ada, &own).await;
    scene.hand_over(ada, &own, "ada").await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn token_of_a_removed_member_is_handed_over_after_a_rotation_where_it_would_do_more(
    pool: PgPool,
) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, .. } = &scene;
    let managing = scene.mint(wanda, "wanda", "managing", &["tokens:write"]).await;
    let plain = scene.mint(wanda, "wanda", "plain", &[]).await;
    let by_friend = scene.mint(ada, "friend", "by-friend", &["tokens:write"]).await;
    let early = scene.mint(wanda, "wanda", "early", &["tokens:write"]).await;
    // Wanda could grant all of it herself.
    scene.hand_over(ada, &early, "memb").await.unwrap();
    world.execute("DELETE FROM memberships m USING users u WHERE u.id = m.user_id AND u.email LIKE 'wanda@%'").await;
    scene.hand_over(ada, &plain, "memb").await.unwrap();
    for (token, by) in [(&managing, ada), (&by_friend, memb)] {
        assert_eq!(code(scene.hand_over(by, token, "memb").await), ProblemCode::ValidationFailed);
        scene.rotate(by, token).await;
        scene.hand_over(by, token, "memb").await.unwrap();
    }
    // Grants bound what an administrator of the workspace could grant.
    let limited = scene.mint(memb, "memb", "limited", &["members:write"]).await;
    world.person("second", Some((HOME, "admin"))).await;
    world.execute("UPDATE memberships SET grants = '{tokens:*,rivers:*}' FROM users u WHERE u.id = user_id AND u.email LIKE 'memb@%'").await;
    assert_eq!(code(scene.hand_over(ada, &limited, "second").await), ProblemCode::ValidationFailed);
    world.execute("UPDATE memberships SET grants = '{rivers:*}', audience_grants = '{rivers:*,tessera/members:*}' FROM users u WHERE u.id = user_id AND u.email LIKE 'memb@%'").await;
    scene.hand_over(ada, &limited, "second").await.unwrap();
}
