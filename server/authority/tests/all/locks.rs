//! No tenant keeps another one waiting: a lock that all tenants share is never held while waiting
//! for a lock of a single tenant.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{OWNER, World, draft, slug, until};
use authority::{
    Actor, Added, Authority, Format, GrantsChange, LoadOptions, MemberChange, MintedToken,
    NewMember, OpContext, PolicyLevel, Refusal, RefusalKind, RotationDraft, ServiceError,
    TokenDraft, TokenPatch, UserChange, catalogue_file::parse_toml,
};
use domain::{
    decision::{DecisionCode, Demand},
    expiry::{ExpiryChoice, parse},
    ids::UserId,
    policy::PolicyRules,
    problem::ProblemCode,
    roles::{InstanceRole, WorkspaceRole},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::task::JoinHandle;

const HOME: &str = "workspace-1";
const OTHER: &str = "other";
const BOB: &str = "bob@example.com";
/// The token limit of the instance.
const LIMIT: i64 = 20;

/// Locks that all tenants share.
const INSTANCE: &str = "SELECT FROM instance FOR NO KEY UPDATE NOWAIT";
const INSTANCE_CHAIN: &str = "SELECT FROM audit_heads
    WHERE chain = '00000000-0000-0000-0000-000000000000' FOR UPDATE NOWAIT";
const USER: &str = "SELECT FROM users WHERE email = 'bob@example.com' FOR NO KEY UPDATE NOWAIT";
const INSTANCE_LATER: &str = "SELECT FROM instance FOR NO KEY UPDATE";
const MEMBERSHIPS: &str = "SELECT FROM memberships FOR NO KEY UPDATE NOWAIT";
const INVITATIONS: &str = "SELECT FROM invitations FOR NO KEY UPDATE NOWAIT";
const MEANING: &str =
    "SELECT 1 / CASE WHEN pg_try_advisory_xact_lock(8387236820541399406) THEN 1 ELSE 0 END";
/// The head of the chain of Bob's workspace.
const CHAIN: &str = "SELECT FROM audit_heads h JOIN workspaces w ON w.id = h.chain
    WHERE w.slug = 'other' FOR UPDATE OF h";

/// Ada's instance with a token limit, and a second workspace that Bob administers.
struct Scene {
    world: World,
    ada: OpContext,
    bob: OpContext,
}

impl Scene {
    async fn new(pool: PgPool) -> Self {
        let world = World::founded(pool).await;
        world.workspace(OTHER).await;
        let bob = world.person("bob", Some((OTHER, "admin"))).await;
        let ada = world.owner().await;
        let cap = PolicyRules { max_tokens: Some(LIMIT), ..PolicyRules::default() };
        world.authority.policies().change(&ada, &PolicyLevel::Instance, cap, None).await.unwrap();
        Self { world, ada, bob }
    }

    /// Creates a token that acts as Bob in his workspace.
    async fn token(&self) -> MintedToken {
        self.world.mint(&self.bob, OTHER, draft(&["rivers:read"])).await
    }

    /// Holds a lock, as a long change does.
    async fn hold(&self, lock: &'static str) -> Transaction<'static, Postgres> {
        let mut change = self.world.pool.begin().await.unwrap();
        sqlx::query(lock).execute(&mut *change).await.unwrap();
        change
    }

    /// Waits until a task waits for a lock, or is done.
    async fn until_it_waits<T>(&self, task: &JoinHandle<T>) {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                      WHERE datname = current_database() AND wait_event_type = 'Lock')";
        until("the task to wait or to finish", async || {
            task.is_finished()
                || sqlx::query_scalar::<_, bool>(waits).fetch_one(&self.world.pool).await.unwrap()
        })
        .await;
    }

    /// Checks that these locks and those that all tenants share are free, and that other callers
    /// can create tokens and sign in.
    async fn others_go_on(&self, free: &[&'static str]) {
        for lock in free.iter().copied().chain([INSTANCE, INSTANCE_CHAIN, USER]) {
            let mut transaction = self.world.pool.begin().await.unwrap();
            let taken = sqlx::query(lock).execute(&mut *transaction).await;
            assert!(taken.is_ok(), "{lock}: {taken:?}");
            transaction.rollback().await.unwrap();
        }
        self.world.mint(&self.ada, HOME, draft(&["rivers:read"])).await;
        self.world.signed_in(BOB).await;
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.world.pool).await.unwrap()
    }
}

fn id(ctx: &OpContext) -> UserId {
    match &ctx.actor {
        Actor::User(visitor) => visitor.user.id,
        _ => panic!("not a person"),
    }
}

/// Returns this many import rows for Bob, all with one name.
fn rows(name: &str, count: usize) -> String {
    let row = |number| {
        let digest = hex::encode(Sha256::digest(format!("{name}{number}")));
        format!(
            r#"{{"digest":"{digest}","name":"{name}","scopes":["rivers:run"],"owner":"{BOB}"}}"#
        )
    };
    (0..count).map(row).collect::<Vec<_>>().join("\n")
}

async fn import(
    authority: &Authority,
    ctx: &OpContext,
    workspace: &str,
    rows: &str,
) -> Result<(), ServiceError> {
    let transfer = authority.transfer();
    let bytes = rows.as_bytes();
    transfer.import(ctx, &slug(workspace), Format::Jsonl, bytes, false).await.map(drop)
}

#[sqlx::test(migrations = false)]
async fn busy_log_of_one_workspace_delays_no_sign_in_and_no_other_log(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let bearers = [
        world.bearer(&scene.token().await).await,
        world.bearer(&world.token("default", &["rivers:read"]).await).await,
        world.anonymous(),
    ];
    let written = "SELECT count(*) FROM audit_events WHERE action = 'access.refused'";
    let busy = scene.hold(CHAIN).await;
    for round in 1..=2 {
        for bearer in &bearers {
            let refusal = Refusal {
                kind: RefusalKind::Access,
                subject: "DELETE /x".into(),
                subject_id: None,
                detail: json!({}),
            };
            world.authority.note_refusal(bearer, refusal);
        }
        let authority = world.authority.clone();
        let writer = tokio::spawn(async move { authority.write_refusals().await });
        scene.until_it_waits(&writer).await;
        scene.others_go_on(&[]).await;
        let outcome = writer.await.unwrap();
        assert!(matches!(outcome, Err(ServiceError::Busy)), "{outcome:?}");
        assert_eq!(scene.count(written).await, 2 * round);
    }
    busy.rollback().await.unwrap();
    world.authority.write_refusals().await.unwrap();
    assert_eq!(scene.count(written).await, 6);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
}

#[sqlx::test(migrations = false)]
async fn token_that_waits_for_its_own_log_does_not_delay_other_workspaces(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let tokens = "SELECT count(*) FROM tokens";
    for is_import in [false, true] {
        let before = scene.count(tokens).await;
        let busy = scene.hold(CHAIN).await;
        let (authority, bob) = (scene.world.authority.clone(), scene.bob.clone());
        let task = tokio::spawn(async move {
            if is_import {
                return import(&authority, &bob, OTHER, &rows("imported", 3)).await;
            }
            let draft = draft(&["rivers:read"]);
            authority.tokens().create(&bob, &slug(OTHER), draft).await.map(drop)
        });
        scene.until_it_waits(&task).await;
        assert!(!task.is_finished());
        scene.others_go_on(&[]).await;
        busy.rollback().await.unwrap();
        task.await.unwrap().unwrap();
        let made = if is_import { 3 } else { 1 };
        assert_eq!(scene.count(tokens).await, before + 1 + made);
    }
}

#[sqlx::test(migrations = false)]
async fn creation_gives_up_on_a_lock_that_all_tenants_share(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let tokens = scene.world.authority.tokens();
    let token = scene.token().await.token.id;
    let all = "SELECT (SELECT count(*) FROM tokens) + (SELECT count(*) FROM audit_events)";
    let before = scene.count(all).await;
    for (held, wanted) in [(INSTANCE, INSTANCE_LATER)] {
        let other = scene.hold(held).await;
        // A transaction that gives up later.
        let pool = scene.world.pool.clone();
        let patient = tokio::spawn(async move {
            let mut transaction = pool.begin().await.unwrap();
            sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await.unwrap();
            let locked = sqlx::query(wanted).execute(&mut *transaction).await.map(drop);
            // A dropped transaction would release its locks a moment later.
            transaction.rollback().await.unwrap();
            locked
        });
        scene.until_it_waits(&patient).await;
        let made = tokens.create(&scene.bob, &slug(OTHER), draft(&["rivers:read"])).await;
        assert_eq!(made.unwrap_err().code(), ProblemCode::Unavailable, "{held}");
        assert!(!patient.is_finished(), "{held}");
        other.rollback().await.unwrap();
        patient.await.unwrap().unwrap();
    }
    assert_eq!(scene.count(all).await, before, "the refused creation left something behind");
    // Stopping a token needs none of these locks.
    let others = [scene.hold(INSTANCE).await, scene.hold(USER).await];
    tokens.disable(&scene.bob, token, None).await.unwrap();
    drop(others);
}

#[sqlx::test(migrations = false)]
async fn creation_does_not_block_the_user_that_its_token_acts_as(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let busy = scene.hold(INSTANCE).await;
    let (authority, bob) = (scene.world.authority.clone(), scene.bob.clone());
    let task = tokio::spawn(async move {
        authority.tokens().create(&bob, &slug(OTHER), draft(&["rivers:read"])).await.map(drop)
    });
    scene.until_it_waits(&task).await;
    let change = scene.hold(USER).await;
    assert!(!task.is_finished(), "it did not wait");
    busy.rollback().await.unwrap();
    task.await.unwrap().unwrap();
    change.rollback().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn token_that_is_handed_over_delays_no_sign_in_of_its_new_owner(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let token = scene.world.mint(&scene.ada, OTHER, draft(&["rivers:read"])).await.token.id;
    let busy = scene.hold(CHAIN).await;
    let (authority, ada) = (scene.world.authority.clone(), scene.ada.clone());
    let task = tokio::spawn(async move {
        let patch = TokenPatch { user: Some(BOB.into()), ..TokenPatch::default() };
        authority.tokens().update(&ada, token, None, patch).await
    });
    scene.until_it_waits(&task).await;
    assert!(!task.is_finished());
    scene.others_go_on(&[]).await;
    busy.rollback().await.unwrap();
    assert_eq!(task.await.unwrap().unwrap().user.email, BOB);
}

#[sqlx::test(migrations = false)]
async fn waiting_member_change_does_not_delay_other_workspaces(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let mia = id(&world.person("mia", Some((OTHER, "viewer"))).await);
    let eve = world.person("eve", None).await;
    let viewer = |email: &str| NewMember {
        user: email.into(),
        role: WorkspaceRole::Viewer,
        grants: Some(vec!["default/rivers:read".into()]),
    };
    let home = slug(OTHER);
    let invite = async |email: &str| {
        let added = world.authority.workspaces().add_member(&scene.bob, &home, viewer(email)).await;
        match added.unwrap() {
            Added::Invited(invitation) => invitation.id,
            Added::Member(_) => panic!("added without an invitation"),
        }
    };
    let (accepted, revoked) = (invite("eve@example.com").await, invite("nobody@example.com").await);
    for step in 0..6 {
        let busy = scene.hold(CHAIN).await;
        let (ada, bob, eve) = (scene.ada.clone(), scene.bob.clone(), eve.clone());
        let (authority, home) = (world.authority.clone(), home.clone());
        let new = viewer(if step == 0 { "new@example.com" } else { OWNER });
        let task = tokio::spawn(async move {
            let (workspaces, invitations) = (authority.workspaces(), authority.invitations());
            match step {
                0 => workspaces.add_member(&bob, &home, new).await.map(drop),
                1 => workspaces.add_member(&ada, &home, new).await.map(drop),
                2 => {
                    let grants = GrantsChange::Patterns(vec!["default/rivers:*".into()]);
                    let change = MemberChange { role: None, grants, ..MemberChange::default() };
                    workspaces.change_member(&bob, &home, mia, change, None).await.map(drop)
                }
                3 => workspaces.remove_member(&bob, &home, mia, None).await.map(drop),
                4 => invitations.accept(&eve, accepted).await.map(drop),
                _ => invitations.revoke(&bob, &home, revoked).await,
            }
        });
        scene.until_it_waits(&task).await;
        assert!(!task.is_finished(), "{step}");
        scene.others_go_on(&[MEANING, MEMBERSHIPS, INVITATIONS]).await;
        busy.rollback().await.unwrap();
        task.await.unwrap().unwrap();
    }
}

/// The search for people who may know secrets takes longer the more tokens a workspace has.
#[sqlx::test(migrations = false)]
async fn search_for_known_secrets_finishes_before_shared_locks_are_taken(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let mia = id(&world.person("mia", Some((OTHER, "viewer"))).await);
    let eve = world.person("eve", None).await;
    let home = slug(OTHER);
    let new =
        |email: &str| NewMember { user: email.into(), role: WorkspaceRole::Admin, grants: None };
    // Each of them has a token that the search examines.
    world.join("eve@example.com", OTHER, "viewer").await;
    for (by, user) in
        [(&scene.bob, "mia@example.com"), (&scene.bob, "eve@example.com"), (&scene.ada, OWNER)]
    {
        let audiences = vec!["tessera".into()];
        let wish = TokenDraft { user: Some(user.into()), audiences, ..draft(&["tokens:write"]) };
        world.mint(by, OTHER, wish).await;
    }
    world
        .execute(
            "DELETE FROM memberships m USING users u WHERE u.id = m.user_id AND u.name = 'eve'",
        )
        .await;
    let invited = new("eve@example.com");
    let invited = world.authority.workspaces().add_member(&scene.bob, &home, invited).await;
    let Added::Invited(invitation) = invited.unwrap() else {
        panic!("added without an invitation")
    };
    for step in 0..3 {
        let before =
            scene.hold("SELECT FROM workspaces WHERE slug = 'other' FOR NO KEY UPDATE").await;
        let (ada, eve, wish) = (scene.ada.clone(), eve.clone(), new(OWNER));
        let (authority, home, id) = (world.authority.clone(), home.clone(), invitation.id);
        let task = tokio::spawn(async move {
            let (workspaces, invitations) = (authority.workspaces(), authority.invitations());
            match step {
                0 => workspaces.add_member(&ada, &home, wish).await.map(drop),
                1 => {
                    let role = Some(WorkspaceRole::Admin);
                    let change = MemberChange { role, ..MemberChange::default() };
                    workspaces.change_member(&ada, &home, mia, change, None).await.map(drop)
                }
                _ => invitations.accept(&eve, id).await.map(drop),
            }
        });
        scene.until_it_waits(&task).await;
        // The search waits for this lock.
        let search = scene.hold("LOCK TABLE token_secrets IN ACCESS EXCLUSIVE MODE").await;
        before.rollback().await.unwrap();
        let waits = "SELECT count(*) FROM pg_stat_activity
                      WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'relation'";
        until("the search to wait for the lock", async || {
            let waits = scene.count(waits).await != 0;
            assert!(waits || !task.is_finished(), "{step}");
            waits
        })
        .await;
        for lock in
            [MEANING, MEMBERSHIPS, INVITATIONS, "SELECT FROM users FOR NO KEY UPDATE NOWAIT"]
        {
            let mut transaction = world.pool.begin().await.unwrap();
            let taken = sqlx::query(lock).execute(&mut *transaction).await;
            assert!(taken.is_ok(), "{step}: {lock}: {taken:?}");
            transaction.rollback().await.unwrap();
        }
        search.rollback().await.unwrap();
        task.await.unwrap().unwrap();
    }
}

/// The change disables tokens of several workspaces, each of which may be busy.
#[sqlx::test(migrations = false)]
async fn raised_role_waits_for_tokens_before_it_takes_shared_locks(pool: PgPool) {
    let scene = Scene::new(pool).await;
    scene.token().await;
    let admin = || UserChange { instance_role: Some(InstanceRole::Admin), ..UserChange::default() };
    for held in ["SELECT FROM tokens FOR UPDATE", CHAIN] {
        let busy = scene.hold(held).await;
        let (authority, ada, bob) =
            (scene.world.authority.clone(), scene.ada.clone(), id(&scene.bob));
        let raise =
            tokio::spawn(async move { authority.users().change(&ada, bob, admin(), None).await });
        scene.until_it_waits(&raise).await;
        scene.others_go_on(&[]).await;
        // It waits only briefly.
        let outcome = raise.await.unwrap().map(drop);
        assert_eq!(outcome.unwrap_err().code(), ProblemCode::Unavailable, "{held}");
        busy.rollback().await.unwrap();
    }
    let users = scene.world.authority.users();
    users.change(&scene.ada, id(&scene.bob), admin(), None).await.unwrap();
}

/// One statement writes the uses of many tenants' tokens.
#[sqlx::test(migrations = false)]
async fn last_uses_do_not_wait_for_a_token_that_is_being_changed(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let (theirs, own) = (scene.token().await, world.token("default", &["rivers:read"]).await);
    let change = scene
        .hold("SELECT FROM tokens WHERE user_id = (SELECT id FROM users WHERE email = 'bob@example.com') FOR NO KEY UPDATE")
        .await;
    for token in [&theirs, &own] {
        let code = world.decide(token.secret.expose(), &Demand::default()).await;
        assert_eq!(code, DecisionCode::Valid);
    }
    world.authority.flush_usage().await;
    let tokens = world.authority.tokens();
    let last = async |token: &MintedToken| {
        tokens.show(&scene.ada, token.token.id).await.unwrap().last_used_at
    };
    assert_eq!(last(&own).await, Some(crate::support::START));
    assert_eq!(last(&theirs).await, None);
    change.rollback().await.unwrap();
    world.authority.flush_usage().await;
    assert_eq!(last(&theirs).await, Some(crate::support::START));
    let usage = tokens.usage(&scene.ada, theirs.token.id, 1).await.unwrap();
    assert_eq!(usage.allowed, [1], "counted once");
}

/// Concurrent imports and creations in two workspaces never exceed the limit of the instance, and
/// each import is all or nothing.
#[sqlx::test(migrations = false)]
async fn concurrent_imports_and_creations_never_exceed_the_instance_limit(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let attempts: Vec<_> = (0..16)
        .map(|number| {
            let (authority, ada) = (scene.world.authority.clone(), scene.ada.clone());
            tokio::spawn(async move {
                let home = if number % 2 == 0 { HOME } else { OTHER };
                if number % 4 < 2 {
                    let rows = rows(&format!("i{number}"), 4).replace(BOB, OWNER);
                    return import(&authority, &ada, home, &rows).await;
                }
                let draft = draft(&["rivers:read"]);
                authority.tokens().create(&ada, &slug(home), draft).await.map(drop)
            })
        })
        .collect();
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(()) | Err(ServiceError::TokenLimitReached(LIMIT)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let made = scene.count("SELECT count(*) FROM tokens").await;
    // The remaining room is too small for an import.
    assert!((LIMIT - 3..=LIMIT).contains(&made), "{made}");
    let cut = "SELECT count(*) FROM
        (SELECT FROM tokens WHERE name LIKE 'i%' GROUP BY name HAVING count(*) <> 4) AS cut";
    assert_eq!(scene.count(cut).await, 0);
    let log = "SELECT count(*) FROM audit_events WHERE action IN ('token.create', 'token.import')";
    assert_eq!(scene.count(log).await, made);
    let late = import(&scene.world.authority, &scene.bob, OTHER, &rows("late", 1_000)).await;
    assert!(matches!(late, Err(ServiceError::TokenLimitReached(LIMIT))), "{late:?}");
    assert_eq!(scene.count(log).await, made);
}

/// Patterns for which it takes long to decide whether one covers another.
#[sqlx::test(migrations = false)]
async fn comparing_the_scopes_of_two_tokens_is_limited(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let (world, ada) = (&scene.world, &scene.ada);
    let catalogue = "audience = \"tables\"\nname = \"Tables\"\n[[groups]]\nname = \"Tables\"
        [[groups.scopes]]\nname = \"table://**\"\ndescription = \"Query tables.\"\n";
    let catalogue = parse_toml(catalogue).unwrap();
    let catalogues = world.authority.catalogues();
    catalogues.load(&world.operator(), catalogue, LoadOptions::default()).await.unwrap();
    let holding = |tables: &[String]| {
        let own = ["tokens:write".to_owned(), "tokens:reveal".to_owned()];
        let grants = [("tables".to_owned(), tables.to_vec()), ("tessera".to_owned(), own.into())];
        TokenDraft { grants: Some(grants.into()), ..draft(&[]) }
    };
    let hard = |number| format!("table://**a*?a**a**{number:03}**a**b*a**");
    let held: Vec<_> = (0..300).map(hard).chain(["table://**zzz**".into()]).collect();
    let asks = world.bearer(&world.mint(ada, OTHER, holding(&held)).await).await;
    let wide = |number| format!("table://**aa*?a**ab**{number:03}**a**ba*a**zzz**");
    let wide: Vec<_> = (0..900).map(wide).collect();
    let few = world.mint(ada, OTHER, holding(&wide[..2])).await.token.id;
    let many = world.mint(ada, OTHER, holding(&wide)).await.token.id;
    let tokens = world.authority.tokens();
    let rotate = async |by: &OpContext, token| {
        tokens.rotate(by, token, None, RotationDraft::default()).await.map(drop)
    };
    let is_too_long = |outcome: Result<(), ServiceError>| {
        let Err(ServiceError::Forbidden(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("take too long"), "{why}");
    };
    rotate(&asks, few).await.unwrap();
    is_too_long(rotate(&asks, many).await);
    tokens.disable(ada, many, None).await.unwrap();
    is_too_long(tokens.enable(&asks, many, None).await.map(drop));
    let made = Box::pin(tokens.create(&asks, &slug(OTHER), holding(&wide))).await;
    let Err(ServiceError::Invalid(errors)) = made else { panic!("{made:?}") };
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(error.field == "grants" && error.message.contains("take too long"), "{error:?}");
    // The same applies to a person who may put such patterns on tokens.
    let grants = (0..63).map(hard).chain(["table://**zzz**".into()]);
    let grants: Vec<_> = grants.map(|pattern| format!("tables/{pattern}")).collect();
    sqlx::query("UPDATE memberships SET audience_grants = $1, grants = '{}' WHERE user_id = $2")
        .bind(grants)
        .bind(id(&scene.bob).0)
        .execute(&world.pool)
        .await
        .unwrap();
    is_too_long(rotate(&scene.bob, many).await);
    // A caller who may put all scopes on tokens needs no comparison.
    rotate(ada, many).await.unwrap();
}

/// A waiting change depends on its caller's membership of the workspace that it changes, and on the
/// rules there and of the instance. An administrator of another workspace must not be able to
/// hinder it.
#[sqlx::test(migrations = false)]
async fn waiting_change_is_refused_only_for_changes_in_its_own_workspace(pool: PgPool) {
    const ELSEWHERE: &str = "UPDATE memberships m SET version = m.version + 1, role = 'viewer' FROM workspaces w
        WHERE w.id = m.workspace_id AND w.slug = 'workspace-1' AND m.user_id = (SELECT id FROM users WHERE email = 'bob@example.com')";
    const RULES: &str = "INSERT INTO policies (id, workspace_id, self_service, updated_at)
        SELECT gen_random_uuid(), id, true, now() FROM workspaces WHERE slug = 'other'";
    const INSTANCE_RULES: &str =
        "UPDATE policies SET version = version + 1 WHERE workspace_id IS NULL";
    const MEMBERSHIP: &str = "UPDATE memberships m SET version = m.version + 1 FROM workspaces w
        WHERE w.id = m.workspace_id AND w.slug = 'other' AND m.user_id = (SELECT id FROM users WHERE email = 'bob@example.com')";
    let scene = Scene::new(pool).await;
    scene.world.join(BOB, HOME, "member").await;
    for (change, expected) in [
        (ELSEWHERE, None),
        (RULES, Some(ProblemCode::Busy)),
        (INSTANCE_RULES, Some(ProblemCode::Busy)),
        (MEMBERSHIP, Some(ProblemCode::Forbidden)),
    ] {
        let chain = scene.hold(CHAIN).await;
        let (authority, bob) = (scene.world.authority.clone(), scene.bob.clone());
        let creation = tokio::spawn(async move {
            Box::pin(authority.tokens().create(&bob, &slug(OTHER), draft(&["rivers:read"]))).await
        });
        scene.until_it_waits(&creation).await;
        scene.world.execute(change).await;
        chain.rollback().await.unwrap();
        let refused = creation.await.unwrap().err().map(|error| error.code());
        assert_eq!(refused, expected, "{change}");
    }
    // Refused changes leave nothing behind.
    let tokens = scene.count("SELECT count(*) FROM tokens").await;
    assert_eq!(tokens, 1);
}

/// A user who may change the rules of a workspace must not be able to hinder a stop there by
/// changing them repeatedly.
#[sqlx::test(migrations = false)]
async fn waiting_stop_does_not_depend_on_rules(pool: PgPool) {
    let scene = Scene::new(pool).await;
    scene.world.join(BOB, HOME, "member").await;
    let token = scene.token().await.token.id;
    let chain = scene.hold(CHAIN).await;
    let (authority, bob) = (scene.world.authority.clone(), scene.bob.clone());
    let stop = tokio::spawn(async move { authority.tokens().disable(&bob, token, None).await });
    scene.until_it_waits(&stop).await;
    let rules = "UPDATE policies SET version = version + 1 WHERE workspace_id IS NULL";
    scene.world.execute(rules).await;
    chain.rollback().await.unwrap();
    assert!(!stop.await.unwrap().unwrap().enabled);
}

/// A token that keeps changing itself does not undo an earlier expiry that is set in the meantime.
#[sqlx::test(migrations = false)]
async fn waiting_self_change_does_not_undo_a_narrowing_of_the_token(pool: PgPool) {
    const ROW: &str = "SELECT FROM tokens WHERE name = 'itself' FOR UPDATE";
    const EARLIER: &str =
        "UPDATE tokens SET version = version + 1, expires_at = expires_at - interval '1 day'
        WHERE name = 'itself'";
    let scene = Scene::new(pool).await;
    let wish = TokenDraft {
        name: "itself".into(),
        audiences: vec!["tessera".into()],
        expiry: parse("9d"),
        ..draft(&["tokens:write"])
    };
    let minted = scene.world.mint(&scene.bob, OTHER, wish).await;
    let (itself, id) = (scene.world.bearer(&minted).await, minted.token.id);
    let given = minted.token.expires_at.unwrap();
    let mut row = scene.hold(ROW).await;
    let authority = scene.world.authority.clone();
    let change = tokio::spawn(async move {
        let same =
            TokenPatch { expiry: Some(Ok(ExpiryChoice::At(given))), ..TokenPatch::default() };
        authority.tokens().update(&itself, id, None, same).await
    });
    scene.until_it_waits(&change).await;
    sqlx::query(EARLIER).execute(&mut *row).await.unwrap();
    row.commit().await.unwrap();
    let refused = change.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), ProblemCode::Forbidden);
    let now = scene.world.authority.tokens().show(&scene.bob, id).await.unwrap();
    assert_eq!(now.expires_at, Some(given - time::Duration::DAY));
}

/// A person can leave a workspace while their membership of another one changes.
#[sqlx::test(migrations = false)]
async fn leaving_a_workspace_depends_only_on_that_membership(pool: PgPool) {
    const ELSEWHERE: &str = "UPDATE memberships m SET version = m.version + 1 FROM workspaces w
        WHERE w.id = m.workspace_id AND w.slug = 'workspace-1' AND m.user_id = (SELECT id FROM users WHERE email = 'bob@example.com')";
    let scene = Scene::new(pool).await;
    scene.world.join(BOB, HOME, "member").await;
    let chain = scene.hold(CHAIN).await;
    let (authority, bob) = (scene.world.authority.clone(), scene.bob.clone());
    let leave = tokio::spawn(async move {
        authority.workspaces().remove_member(&bob, &slug(OTHER), id(&bob), None).await
    });
    scene.until_it_waits(&leave).await;
    scene.world.execute(ELSEWHERE).await;
    chain.rollback().await.unwrap();
    leave.await.unwrap().unwrap();
}

/// A change by an administrator of the instance depends on the rules of a workspace even if they
/// are not a member of it.
#[sqlx::test(migrations = false)]
async fn waiting_change_by_a_non_member_depends_on_the_rules_of_the_workspace(pool: PgPool) {
    const RULES: &str = "INSERT INTO policies (id, workspace_id, self_service, updated_at)
        SELECT gen_random_uuid(), id, true, now() FROM workspaces WHERE slug = $1";
    let scene = Scene::new(pool).await;
    scene.world.execute("DELETE FROM memberships WHERE user_id = (SELECT id FROM users WHERE email <> 'bob@example.com')").await;
    for (workspace, expected) in [(HOME, None), (OTHER, Some(ProblemCode::Busy))] {
        let chain = scene.hold(CHAIN).await;
        let (authority, ada) = (scene.world.authority.clone(), scene.ada.clone());
        let creation = tokio::spawn(async move {
            Box::pin(authority.tokens().create(&ada, &slug(OTHER), draft(&["rivers:read"]))).await
        });
        scene.until_it_waits(&creation).await;
        sqlx::query(RULES).bind(workspace).execute(&scene.world.pool).await.unwrap();
        let revision = "INSERT INTO revisions (at, kind, subject_id) SELECT now(), 'workspace', id FROM workspaces WHERE slug = $1";
        sqlx::query(revision).bind(workspace).execute(&scene.world.pool).await.unwrap();
        chain.rollback().await.unwrap();
        let refused = creation.await.unwrap().err().map(|error| error.code());
        assert_eq!(refused, expected, "{workspace}");
    }
}

/// A change that has checked its caller and the rules for the last time, and is not committed yet.
#[sqlx::test(migrations = false)]
async fn stop_and_new_rules_wait_for_changes_that_they_were_too_late_to_refuse(pool: PgPool) {
    /// Identifies the keys of these locks among others.
    const KEYS: u64 = 0x6361_6c6c_6572_7321;
    let scene = Scene::new(pool).await;
    let bob = id(&scene.bob);
    let (_, random) = bob.0.as_u64_pair();
    let cap = "SELECT count(*) FROM policies WHERE workspace_id IS NULL AND max_tokens = 7";
    let enabled = "SELECT count(*) FROM users WHERE email = 'bob@example.com' AND NOT enabled";
    for (key, made) in [(KEYS, cap), (random ^ KEYS, enabled)] {
        let mut late = scene.world.pool.begin().await.unwrap();
        sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
            .bind(key.cast_signed())
            .execute(&mut *late)
            .await
            .unwrap();
        let (authority, ada) = (scene.world.authority.clone(), scene.ada.clone());
        let change = tokio::spawn(async move {
            if key == KEYS {
                let cap = PolicyRules { max_tokens: Some(7), ..PolicyRules::default() };
                let policies = authority.policies();
                return policies.change(&ada, &PolicyLevel::Instance, cap, None).await.map(drop);
            }
            let disable = UserChange { enabled: Some(false), ..UserChange::default() };
            Box::pin(authority.users().change(&ada, bob, disable, None)).await.map(drop)
        });
        scene.until_it_waits(&change).await;
        assert!(!change.is_finished(), "{made}");
        // It already applies to all other callers.
        assert_eq!(scene.count(made).await, 1, "{made}");
        late.rollback().await.unwrap();
        change.await.unwrap().unwrap();
    }
}
