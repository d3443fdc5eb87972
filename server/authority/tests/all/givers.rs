//! People who lose the right to set passwords: pending requests of theirs, or of accounts whose
//! passwords are expired with it, do not restore that right.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{PASSWORD, World, password, until};
use authority::{
    Actor, NewUser, OpContext, PasswordChange, ServiceError, SignIn,
    secret::{PasswordLinkSecret, SessionSecret},
};
use domain::{
    ids::UserId,
    problem::ProblemCode,
    roles::{InstanceRole, UserKind},
};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::task::JoinHandle;

const NEW: &str = "tr0mbone ladder mist drums";
const OTHER: &str = "w0oden kettle outside violins";
/// The head of the instance's chain. Transactions that wait for it are served in turn.
const CHAIN: &str =
    "SELECT FROM audit_heads WHERE chain = '00000000-0000-0000-0000-000000000000' FOR UPDATE";

fn new_admin(name: &str) -> NewUser {
    NewUser {
        kind: UserKind::Person,
        email: format!("{name}@example.com"),
        name: None,
        instance_role: InstanceRole::Admin,
        password: Some(password(PASSWORD)),
    }
}

async fn admin(world: &World, by: &OpContext, name: &str) -> UserId {
    world.authority.users().create(by, new_admin(name)).await.unwrap().summary.id
}

async fn by_session(world: &World, secret: &SessionSecret) -> Option<OpContext> {
    let found = world.authority.sessions().resolve(&world.anonymous(), secret).await.unwrap()?;
    let id = found.id;
    let mut ctx = world.context(found.actor());
    ctx.session = Some(id);
    Some(ctx)
}

async fn session(world: &World, name: &str, text: &str) -> Result<SessionSecret, ProblemCode> {
    let sign_in = SignIn {
        email: format!("{name}@example.com"),
        password: password(text),
        user_agent: None,
        known_browser: None,
    };
    let signed_in = world.authority.sessions().sign_in(&world.anonymous(), sign_in).await;
    signed_in.map(|signed_in| signed_in.secret).map_err(|error| error.code())
}

/// Creates an administrator whose password another one set, and who has since chosen their own.
async fn pawn(world: &World, giver: &OpContext, name: &str) -> OpContext {
    admin(world, giver, name).await;
    let secret = session(world, name, PASSWORD).await.unwrap();
    let ctx = by_session(world, &secret).await.unwrap();
    let change =
        PasswordChange { current: password(PASSWORD), new: password(NEW), known_browser: None };
    let changed = world.authority.passwords().change(&ctx, change).await.unwrap();
    by_session(world, &changed.session.unwrap().0).await.unwrap()
}

fn id(ctx: &OpContext) -> UserId {
    match &ctx.actor {
        Actor::User(visitor) => visitor.user.id,
        _ => panic!("not a person"),
    }
}

async fn hold(world: &World, lock: &'static str) -> Transaction<'static, Postgres> {
    let mut change = world.pool.begin().await.unwrap();
    sqlx::query(lock).execute(&mut *change).await.unwrap();
    change
}

/// Acts as this person up to the commit. A change that takes rights from them waits for it.
async fn act_of(world: &World, person: UserId) -> Transaction<'static, Postgres> {
    let mut act = world.pool.begin().await.unwrap();
    let key = (person.0.as_u64_pair().1 ^ 0x6361_6c6c_6572_7321).cast_signed();
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
        .bind(key)
        .execute(&mut *act)
        .await
        .unwrap();
    act
}

/// Waits until this many statements wait for a lock.
async fn until_waiting(world: &World, kind: &str, count: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND wait_event_type = 'Lock' AND ($1 = '' OR wait_event = $1)";
    until("statements to wait for locks", async || {
        let found = sqlx::query_scalar::<_, i64>(waiting).bind(kind);
        found.fetch_one(&world.pool).await.unwrap() == count
    })
    .await;
}

fn remove(
    world: &World,
    by: &OpContext,
    user: UserId,
) -> JoinHandle<Result<Vec<String>, ServiceError>> {
    let (authority, by) = (world.authority.clone(), by.clone());
    tokio::spawn(async move {
        let removed = authority.users().remove(&by, user, None).await;
        removed.map(|removed| removed.ended_passwords)
    })
}

fn redeem(
    world: &World,
    ctx: &OpContext,
    secret: &PasswordLinkSecret,
    new: &'static str,
) -> JoinHandle<Result<(), ServiceError>> {
    let (authority, ctx, secret) = (world.authority.clone(), ctx.clone(), secret.clone());
    tokio::spawn(async move {
        authority.passwords().redeem(&ctx, &secret, &password(new)).await.map(drop)
    })
}

#[sqlx::test(migrations = false)]
async fn signed_in_person_uses_their_own_or_another_persons_link(pool: PgPool) {
    let world = World::founded(pool).await;
    let petra = admin(&world, &world.operator(), "petra").await;
    let quinn = admin(&world, &world.operator(), "quinn").await;
    let own = session(&world, "petra", PASSWORD).await.unwrap();
    let ctx = by_session(&world, &own).await.unwrap();
    for (name, user) in [("quinn", quinn), ("petra", petra)] {
        let link = world.authority.passwords().issue_link(&world.operator(), user).await.unwrap();
        redeem(&world, &ctx, &link.secret, NEW).await.unwrap().unwrap();
        session(&world, name, NEW).await.unwrap();
    }
    assert!(by_session(&world, &own).await.is_none(), "all sessions end");
}

#[sqlx::test(migrations = false)]
async fn link_whose_creator_is_stopped_meanwhile_sets_no_password(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    admin(&world, &world.operator(), "adam").await;
    let adam = world.signed_in("adam@example.com").await;
    let quinn = admin(&world, &world.operator(), "quinn").await;
    let link = world.authority.passwords().issue_link(&adam, quinn).await.unwrap();
    let busy = hold(&world, CHAIN).await;
    let stop = remove(&world, &ada, id(&adam));
    until_waiting(&world, "", 1).await;
    let redeemed = redeem(&world, &world.anonymous(), &link.secret, NEW);
    until_waiting(&world, "", 2).await;
    busy.rollback().await.unwrap();
    stop.await.unwrap().unwrap();
    assert_eq!(redeemed.await.unwrap().unwrap_err().code(), ProblemCode::NotFound);
    session(&world, "quinn", PASSWORD).await.unwrap();
    assert_eq!(session(&world, "quinn", NEW).await.unwrap_err(), ProblemCode::InvalidCredentials);
}

#[sqlx::test(migrations = false)]
async fn account_that_expires_with_its_password_setter_leaves_no_access_behind(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    admin(&world, &world.operator(), "adam").await;
    let adam = world.signed_in("adam@example.com").await;
    let petra = pawn(&world, &adam, "petra").await;
    let quinn = admin(&world, &world.operator(), "quinn").await;
    let busy = hold(&world, CHAIN).await;
    let (authority, ctx) = (world.authority.clone(), petra.clone());
    let made = tokio::spawn(async move { authority.users().create(&ctx, new_admin("rosa")).await });
    until_waiting(&world, "", 1).await;
    let (authority, ctx) = (world.authority.clone(), petra.clone());
    let linked = tokio::spawn(async move { authority.passwords().issue_link(&ctx, quinn).await });
    until_waiting(&world, "", 2).await;
    let stop = remove(&world, &ada, id(&adam));
    until_waiting(&world, "", 3).await;
    busy.rollback().await.unwrap();
    made.await.unwrap().unwrap();
    let link = linked.await.unwrap().unwrap();
    assert_eq!(stop.await.unwrap().unwrap(), ["petra@example.com", "rosa@example.com"]);
    for (name, text) in [("petra", NEW), ("rosa", PASSWORD)] {
        let refused = session(&world, name, text).await;
        assert_eq!(refused.unwrap_err(), ProblemCode::InvalidCredentials, "{name}");
    }
    let redeemed = redeem(&world, &world.anonymous(), &link.secret, OTHER).await.unwrap();
    assert_eq!(redeemed.unwrap_err().code(), ProblemCode::NotFound);
}

#[sqlx::test(migrations = false)]
async fn tokens_of_an_expired_account_are_disabled_after_the_caller_disconnects(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    admin(&world, &world.operator(), "adam").await;
    let adam = world.signed_in("adam@example.com").await;
    let petra = pawn(&world, &adam, "petra").await;
    admin(&world, &world.operator(), "quinn").await;
    // Quinn creates Rosa. Quinn's own password was set by Petra, whose password is about to
    // be expired.
    let quinn = world.signed_in("quinn@example.com").await;
    pawn(&world, &quinn, "rosa").await;
    let mut act = act_of(&world, id(&petra)).await;
    let given = "UPDATE users SET password_set_by = (SELECT id FROM users WHERE email = 'petra@example.com'),
                        must_change_password = false WHERE email = 'quinn@example.com'";
    let stop = remove(&world, &ada, id(&adam));
    until_waiting(&world, "advisory", 1).await;
    sqlx::query(given).execute(&mut *act).await.unwrap();
    stop.abort();
    assert!(stop.await.unwrap_err().is_cancelled());
    act.commit().await.unwrap();
    session(&world, "quinn", PASSWORD).await.unwrap();
    // Another server continues if this one has not finished in time.
    world.execute("UPDATE person_stops SET worked_until = clock_timestamp()").await;
    world.authority.disable_known_secrets().await.unwrap();
    for (name, text) in [("petra", NEW), ("quinn", PASSWORD), ("rosa", NEW)] {
        let refused = session(&world, name, text).await;
        assert_eq!(refused.unwrap_err(), ProblemCode::InvalidCredentials, "{name}");
    }
    let notes: i64 = sqlx::query_scalar("SELECT count(*) FROM person_stops")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(notes, 0);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
}

#[sqlx::test(migrations = false)]
async fn new_password_succeeds_even_if_waiting_for_other_changes_fails(pool: PgPool) {
    let world = World::founded(pool).await;
    let petra = admin(&world, &world.operator(), "petra").await;
    let secret = session(&world, "petra", PASSWORD).await.unwrap();
    let ctx = by_session(&world, &secret).await.unwrap();
    let act = act_of(&world, petra).await;
    // The wait fails as if the database were too busy.
    let give_up = async || {
        until_waiting(&world, "advisory", 1).await;
        world
            .execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event = 'advisory'",
            )
            .await;
    };
    // The change itself takes the lock first in shared and then in exclusive mode.
    let authority = world.authority.clone();
    let changing = tokio::spawn(async move {
        let change =
            PasswordChange { current: password(PASSWORD), new: password(NEW), known_browser: None };
        authority.passwords().change(&ctx, change).await
    });
    give_up().await;
    let changed = changing.await.unwrap().unwrap();
    assert!(by_session(&world, &changed.session.unwrap().0).await.is_some());

    // A link takes nothing from the person, so it waits for nothing.
    let linked = world.authority.passwords().issue_link(&world.operator(), petra).await.unwrap();
    let redeemed = redeem(&world, &world.anonymous(), &linked.secret, OTHER);
    give_up().await;
    redeemed.await.unwrap().unwrap();
    drop(act);
    session(&world, "petra", OTHER).await.unwrap();
}
