//! The stop of a token does not wait for the token's own requests, and no request that the token
//! began earlier takes effect after it.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::sync::Arc;

use crate::support::{World, draft, slug, until};
use authority::{
    Edit, Format, MintedToken, NewMember, OpContext, PolicyLevel, RotationDraft, ServiceError,
    TokenDraft, TokenPatch,
};
use domain::{
    decision::{DecisionCode, Demand},
    expiry::ExpiryChoice,
    ids::TokenId,
    policy::PolicyRules,
    problem::ProblemCode,
    rate_limit::RateLimit,
    roles::WorkspaceRole,
};
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::task::JoinHandle;

const HOME: &str = "workspace-1";

/// Locks that block changes and creations: the row of the workspace, and that of one token.
const BUSY: &str = "WITH w AS (SELECT FROM workspaces FOR NO KEY UPDATE) SELECT FROM w, tokens t WHERE t.name = 'target' FOR UPDATE OF t";

struct Scene {
    world: Arc<World>,
    ada: OpContext,
    target: MintedToken,
}

impl Scene {
    /// Creates a workspace with a token limit, so that creations lock its row.
    async fn new(pool: PgPool) -> Self {
        let world = World::founded(pool).await;
        world.person("lea", Some((HOME, "admin"))).await;
        let ada = world.owner().await;
        let cap = PolicyRules { max_tokens: Some(1_000), ..PolicyRules::default() };
        let level = PolicyLevel::Workspace(slug(HOME));
        world.authority.policies().change(&ada, &level, cap, None).await.unwrap();
        let target = TokenDraft { name: "target".into(), ..draft(&["rivers:read"]) };
        let target = world.mint(&ada, HOME, target).await;
        Self { world: Arc::new(world), ada, target }
    }

    async fn maker(&self) -> MintedToken {
        let maker = TokenDraft {
            name: "maker".into(),
            audiences: vec!["default".into(), "tessera".into()],
            expiry: Ok(ExpiryChoice::In(86_400)),
            ..draft(&["members:write", "tokens:write", "rivers:read"])
        };
        self.world.mint(&self.ada, HOME, maker).await
    }

    async fn hold(&self) -> Transaction<'static, Postgres> {
        let mut busy = self.world.pool.begin().await.unwrap();
        sqlx::query(BUSY).fetch_all(&mut *busy).await.unwrap();
        busy
    }

    /// Lets a token begin a change, which waits for a held lock.
    async fn begin(&self, act: Act, by: &MintedToken) -> JoinHandle<Result<(), ServiceError>> {
        let (world, ctx) = (Arc::clone(&self.world), self.world.bearer(by).await);
        let target = self.target.token.id;
        let before = self.waiting().await;
        let task = tokio::spawn(async move { act.run(&world, &ctx, target).await });
        until("the change to wait for the lock", async || {
            let waits = self.waiting().await != before;
            assert!(waits || !task.is_finished(), "{act:?}");
            waits
        })
        .await;
        task
    }

    async fn waiting(&self) -> i64 {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar(waiting).fetch_one(&self.world.pool).await.unwrap()
    }

    async fn state(&self) -> (i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM tokens WHERE name <> 'maker') + (SELECT count(*) FROM invitations),
                    (SELECT version FROM tokens WHERE name = 'target')",
        )
        .fetch_one(&self.world.pool)
        .await
        .unwrap()
    }

    async fn decision(&self, token: &MintedToken) -> DecisionCode {
        self.world.decide(token.secret.expose(), &Demand::default()).await
    }
}

/// A change that a token makes.
#[derive(Clone, Copy, Debug)]
enum Act {
    Create,
    Import,
    Invite,
    Rotate,
    Update,
}

impl Act {
    async fn run(
        self,
        world: &World,
        ctx: &OpContext,
        target: TokenId,
    ) -> Result<(), ServiceError> {
        let (tokens, home) = (world.authority.tokens(), slug(HOME));
        match self {
            Self::Create => {
                let child = TokenDraft { name: "child".into(), ..draft(&["rivers:read"]) };
                tokens.create(ctx, &home, child).await.map(drop)
            }
            Self::Import => {
                let digest = hex::encode(Sha256::digest("imported"));
                let row = format!(
                    r#"{{"digest":"{digest}","name":"imported","scopes":["rivers:read"]}}"#
                );
                let transfer = world.authority.transfer();
                transfer.import(ctx, &home, Format::Jsonl, row.as_bytes(), false).await.map(drop)
            }
            Self::Invite => {
                let (role, grants) =
                    (WorkspaceRole::Member, Some(vec!["default/rivers:read".into()]));
                let new = NewMember { user: "grace@example.com".into(), role, grants };
                world.authority.workspaces().add_member(ctx, &home, new).await.map(drop)
            }
            Self::Rotate => {
                tokens.rotate(ctx, target, None, RotationDraft::default()).await.map(drop)
            }
            Self::Update => {
                let patch = TokenPatch { description: Some("new".into()), ..TokenPatch::default() };
                tokens.update(ctx, target, None, patch).await.map(drop)
            }
        }
    }
}

/// A change to the token that stops it.
#[derive(Clone, Debug)]
enum Stop {
    Disable,
    Expire,
    Delete,
    Rotate(i64),
    Patch(Box<TokenPatch>),
}

impl Stop {
    fn patch(patch: TokenPatch) -> Self {
        Self::Patch(Box::new(patch))
    }

    async fn run(&self, scene: &Scene, id: TokenId) {
        let (tokens, ada) = (scene.world.authority.tokens(), &scene.ada);
        match self {
            Self::Disable => drop(tokens.disable(ada, id, None).await.unwrap()),
            Self::Expire => drop(tokens.expire(ada, id, None).await.unwrap()),
            Self::Delete => drop(tokens.delete(ada, id, None).await.unwrap()),
            Self::Rotate(grace_s) => {
                let draft = RotationDraft { grace_s: Some(*grace_s), ..RotationDraft::default() };
                drop(tokens.rotate(ada, id, None, draft).await.unwrap());
            }
            Self::Patch(patch) => {
                drop(tokens.update(ada, id, None, (**patch).clone()).await.unwrap());
            }
        }
    }
}

/// Returns the changes that take something from a token, and the error that the token's own pending
/// change then gets.
fn stops() -> Vec<(Stop, ProblemCode)> {
    let scopes = |scopes: &[&str]| Some(scopes.iter().map(ToString::to_string).collect());
    let keep = TokenPatch::default;
    vec![
        (Stop::Disable, ProblemCode::Unauthenticated),
        (Stop::Expire, ProblemCode::Unauthenticated),
        (Stop::Delete, ProblemCode::Unauthenticated),
        (Stop::Rotate(0), ProblemCode::Unauthenticated),
        // The children of the older secret expire with it.
        (Stop::Rotate(60), ProblemCode::Forbidden),
        (
            Stop::patch(TokenPatch { ip_allow: Some(vec!["192.0.2.0/24".into()]), ..keep() }),
            ProblemCode::Forbidden,
        ),
        (
            Stop::patch(TokenPatch { scopes: scopes(&["rivers:read"]), ..keep() }),
            ProblemCode::Forbidden,
        ),
        (
            Stop::patch(TokenPatch { expiry: Some(Ok(ExpiryChoice::In(60))), ..keep() }),
            ProblemCode::Forbidden,
        ),
        (
            Stop::patch(TokenPatch { rate_limit: Edit::Set(RateLimit::new(5, 3_600)), ..keep() }),
            ProblemCode::Forbidden,
        ),
        (
            Stop::patch(TokenPatch { user: Some("lea@example.com".into()), ..keep() }),
            ProblemCode::Forbidden,
        ),
    ]
}

#[sqlx::test(migrations = false)]
async fn stop_completes_while_the_token_changes_something_and_the_change_is_refused(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let before = scene.state().await;
    let create = stops().into_iter().map(|stop| (Act::Create, stop));
    let others = [Act::Import, Act::Invite, Act::Rotate, Act::Update];
    let others = others.map(|act| (act, (Stop::Disable, ProblemCode::Unauthenticated))).into_iter();
    for (act, (stop, expected)) in create.chain(others) {
        let maker = scene.maker().await;
        let busy = scene.hold().await;
        let late = scene.begin(act, &maker).await;
        stop.run(&scene, maker.token.id).await;
        assert!(!late.is_finished(), "{act:?}, {stop:?}");
        let refused = scene.decision(&maker).await;
        if expected == ProblemCode::Unauthenticated {
            assert_ne!(refused, DecisionCode::Valid, "{act:?}, {stop:?}");
        }
        busy.rollback().await.unwrap();
        let error = late.await.unwrap().unwrap_err();
        assert_eq!(error.code(), expected, "{act:?}, {stop:?}: {error}");
        assert_eq!(scene.state().await, before, "{act:?}, {stop:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn change_continues_if_its_token_loses_nothing(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let keep = TokenPatch::default;
    for patch in [
        TokenPatch { description: Some("other".into()), ..keep() },
        TokenPatch { tags: Some([("team".into(), "a".into())].into()), ..keep() },
        TokenPatch { expiry: Some(Ok(ExpiryChoice::In(2 * 86_400))), ..keep() },
    ] {
        let maker = scene.maker().await;
        let (before, busy) = (scene.state().await, scene.hold().await);
        let late = scene.begin(Act::Create, &maker).await;
        Stop::patch(patch.clone()).run(&scene, maker.token.id).await;
        // Its uses are written to its row, too.
        assert_eq!(scene.decision(&maker).await, DecisionCode::Valid);
        scene.world.authority.flush_usage().await;
        busy.rollback().await.unwrap();
        late.await.unwrap().unwrap_or_else(|error| panic!("{patch:?}: {error}"));
        assert_eq!(scene.state().await.0, before.0 + 1);
    }
    // Changes by the token to itself, and to the source of its own rights.
    let tokens = scene.world.authority.tokens();
    let maker = scene.maker().await;
    let ctx = scene.world.bearer(&maker).await;
    let patch = TokenPatch { expiry: Some(Ok(ExpiryChoice::In(60))), ..keep() };
    tokens.update(&ctx, maker.token.id, None, patch).await.unwrap();
    let fewer = TokenPatch { scopes: Some(vec!["tokens:write".into()]), ..keep() };
    tokens.update(&scene.world.bearer(&maker).await, maker.token.id, None, fewer).await.unwrap();
    let ctx = scene.world.bearer(&maker).await;
    let draft = RotationDraft { grace_s: Some(60), ..RotationDraft::default() };
    let newer = tokens.rotate_self(&ctx, None, draft).await.unwrap();
    let ctx = scene.world.bearer(&newer).await;
    tokens.disable(&ctx, maker.token.id, None).await.unwrap();
    let maker = scene.maker().await;
    tokens.delete(&scene.world.bearer(&maker).await, maker.token.id, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn token_can_end_the_membership_of_its_own_user(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let lea = scene.world.signed_in("lea@example.com").await;
    let maker = TokenDraft {
        audiences: vec!["tessera".into()],
        ..draft(&["members:write", "members:read"])
    };
    let maker = scene.world.mint(&lea, HOME, maker).await;
    let ctx = scene.world.bearer(&maker).await;
    let user = maker.token.user.id;
    scene.world.authority.workspaces().remove_member(&ctx, &slug(HOME), user, None).await.unwrap();
    assert_eq!(scene.decision(&maker).await, DecisionCode::OwnerDisabled);
}

/// The response of a stop with children waits for pending changes, but the stop itself does not.
#[sqlx::test(migrations = false)]
async fn stop_with_children_leaves_none_that_was_being_created(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let maker = scene.maker().await;
    let ctx = scene.world.bearer(&maker).await;
    let child = TokenDraft {
        name: "first".into(),
        audiences: vec!["default".into(), "tessera".into()],
        ..draft(&["tokens:write", "rivers:read"])
    };
    let child = scene.world.mint(&ctx, HOME, child).await;
    let busy = scene.hold().await;
    let (own, childs) =
        (scene.begin(Act::Create, &maker).await, scene.begin(Act::Create, &child).await);
    let (world, ada, id) = (Arc::clone(&scene.world), scene.ada.clone(), maker.token.id);
    let stop = tokio::spawn(async move {
        world.authority.tokens().delete_with_children(&ada, id, None, true).await.map(drop)
    });
    until("the stop to take effect", async || {
        let is_stopped = scene.decision(&maker).await != DecisionCode::Valid;
        assert!(is_stopped || !stop.is_finished());
        is_stopped
    })
    .await;
    assert!(!own.is_finished() && !childs.is_finished());
    busy.rollback().await.unwrap();
    assert_eq!(own.await.unwrap().unwrap_err().code(), ProblemCode::Unauthenticated);
    // It began before the stop, which waits for it.
    childs.await.unwrap().unwrap();
    stop.await.unwrap().unwrap();
    let left = "SELECT count(*) FROM tokens WHERE deleted_at IS NULL AND name IN ('first', 'child', 'maker')";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&scene.world.pool).await.unwrap();
    assert_eq!(left, 0);
}

/// The token may keep its own row and its workspace's log busy, and its stop waits in the same
/// queue, so it waits longer than other changes.
#[sqlx::test(migrations = false)]
async fn stop_waits_longer_than_other_changes(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let (world, ada) = (&scene.world, &scene.ada);
    world.execute("CREATE TABLE patience (waits text)").await;
    world
        .execute(
            "CREATE FUNCTION note_patience() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO patience VALUES (current_setting('lock_timeout')); RETURN NULL;
             END $$",
        )
        .await;
    world
        .execute("CREATE TRIGGER note_patience AFTER UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION note_patience()")
        .await;
    for stop in [Stop::Disable, Stop::Expire, Stop::Delete] {
        let token = TokenDraft { name: "stopped".into(), ..draft(&["rivers:read"]) };
        let token = world.mint(ada, HOME, token).await;
        world.execute("DELETE FROM patience").await;
        stop.run(&scene, token.token.id).await;
        let waits: Vec<String> =
            sqlx::query_scalar("SELECT waits FROM patience").fetch_all(&world.pool).await.unwrap();
        assert!(!waits.is_empty() && waits.iter().all(|wait| wait == "30s"), "{stop:?}: {waits:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn child_widens_nothing_once_its_creator_is_stopped_or_deleted(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    for stop in [Stop::Disable, Stop::Delete] {
        let minted = scene.maker().await;
        let maker = world.bearer(&minted).await;
        let make = async |name: &str| {
            let wish = TokenDraft {
                name: name.into(),
                audiences: vec!["default".into(), "tessera".into()],
                expiry: Ok(ExpiryChoice::In(3_600)),
                ..draft(&["tokens:write", "rivers:read"])
            };
            world.mint(&maker, HOME, wish).await
        };
        let (child, sibling) = (make("child").await, make("sibling").await);
        let by = world.bearer(&child).await;
        let prolong = async |seconds| {
            let expiry = Some(Ok(ExpiryChoice::In(seconds)));
            let patch = TokenPatch { expiry, ..TokenPatch::default() };
            world.authority.tokens().update(&by, sibling.token.id, None, patch).await
        };
        prolong(600).await.unwrap();
        prolong(900).await.unwrap();
        // A change that is waiting for the token is refused, too.
        let mut busy = world.pool.begin().await.unwrap();
        sqlx::query("SELECT FROM tokens WHERE id = $1 FOR NO KEY UPDATE")
            .bind(sibling.token.id.0)
            .execute(&mut *busy)
            .await
            .unwrap();
        let (waiting, core, id) = (by.clone(), world.authority.clone(), sibling.token.id);
        let patch =
            TokenPatch { expiry: Some(Ok(ExpiryChoice::In(1_200))), ..TokenPatch::default() };
        let late =
            tokio::spawn(async move { core.tokens().update(&waiting, id, None, patch).await });
        until("the change to wait for the lock", async || {
            let waits = scene.waiting().await != 0;
            assert!(waits || !late.is_finished());
            waits
        })
        .await;
        stop.run(&scene, minted.token.id).await;
        busy.rollback().await.unwrap();
        assert_eq!(late.await.unwrap().unwrap_err().code(), ProblemCode::Forbidden, "{stop:?}");
        assert_eq!(prolong(1_800).await.unwrap_err().code(), ProblemCode::Forbidden, "{stop:?}");
        // It may still narrow.
        prolong(300).await.unwrap();
    }
}
