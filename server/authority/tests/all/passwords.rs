//! Changing a password, links that set one, and passwords that must be changed.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{OWNER, PASSWORD, World, password, slug};
use argon2::{Argon2, PasswordHasher as _, password_hash::phc::PasswordHash};
use authority::{
    Actor, ChangedPassword, NewUser, OpContext, PasswordChange, PasswordLink, ServiceError, SignIn,
    SignedIn, Surface, UserChange,
    secret::{KnownBrowser, PasswordLinkSecret, SessionSecret},
};
use domain::{
    ids::UserId,
    problem::ProblemCode,
    roles::{InstanceRole, UserKind},
    session::SessionQuery,
    user::UserQuery,
};
use sqlx::PgPool;
use time::Duration;
use tokio::time::Instant;

const NEW: &str = "tr0mbone ladder mist drums";
const GRACE: &str = "grace@example.com";

async fn sign_in_at(
    world: &World,
    address: &str,
    text: &str,
    known_browser: Option<KnownBrowser>,
) -> Result<SignedIn, ServiceError> {
    let sign_in =
        SignIn { email: address.into(), password: password(text), user_agent: None, known_browser };
    world.authority.sessions().sign_in(&world.anonymous(), sign_in).await
}

async fn sign_in(world: &World, email: &str, text: &str) -> Result<SignedIn, ServiceError> {
    sign_in_at(world, email, text, None).await
}

/// Returns the context of the user of this session, or `None` if it has expired.
async fn by(world: &World, secret: &SessionSecret) -> Option<OpContext> {
    let found = world.authority.sessions().resolve(&world.anonymous(), secret).await.unwrap()?;
    let id = found.id;
    let mut ctx = world.context(found.actor());
    ctx.session = Some(id);
    Some(ctx)
}

async fn change(
    world: &World,
    ctx: &OpContext,
    current: &str,
    new: &str,
) -> Result<ChangedPassword, ServiceError> {
    let change =
        PasswordChange { current: password(current), new: password(new), known_browser: None };
    world.authority.passwords().change(ctx, change).await
}

/// Returns the invalid field, with its message.
fn fault<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> String {
    match outcome.unwrap_err() {
        ServiceError::Invalid(errors) => format!("{} {}", errors[0].field, errors[0].message),
        other => panic!("{other:?}"),
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn new_user(email: &str, role: InstanceRole) -> NewUser {
    NewUser {
        kind: UserKind::Person,
        email: email.into(),
        name: None,
        instance_role: role,
        password: Some(password(PASSWORD)),
    }
}

/// Creates a person whose password an administrator chose.
async fn given(world: &World, email: &str, role: InstanceRole) -> UserId {
    let user = world.authority.users().create(&world.operator(), new_user(email, role)).await;
    user.unwrap().summary.id
}

async fn link(world: &World, ctx: &OpContext, user: UserId) -> PasswordLink {
    world.authority.passwords().issue_link(ctx, user).await.unwrap()
}

async fn redeem(world: &World, secret: &PasswordLinkSecret, new: &str) -> Result<(), ServiceError> {
    let passwords = world.authority.passwords();
    passwords.redeem(&world.anonymous(), secret, &password(new)).await.map(drop)
}

async fn works(world: &World, secret: &PasswordLinkSecret) -> bool {
    match world.authority.passwords().check_link(&world.anonymous(), secret).await {
        Ok(_) => true,
        Err(ServiceError::NotFound(_)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

async fn actions(world: &World) -> Vec<String> {
    let rows = sqlx::query_scalar("SELECT action FROM audit_events ORDER BY id");
    rows.fetch_all(&world.pool).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn names_of_workspaces_and_the_host_make_a_password_easy_to_guess(pool: PgPool) {
    let settings = authority::Settings {
        public_host: "tokens.bqxzkv.example".into(),
        ..authority::Settings::default()
    };
    let world = World::with_settings(pool, settings).await;
    given(&world, GRACE, InstanceRole::Member).await;
    let attempt = async |new: &str| {
        let own = sign_in(&world, GRACE, PASSWORD).await.unwrap();
        change(&world, &by(&world, &own.secret).await.unwrap(), PASSWORD, new).await
    };
    assert!(fault(attempt("bqxzkv.tokens.81").await).contains("easy to guess"));
    world.workspace("zvlqkd-wkrtzp").await;
    let own = "zvlqkd-wkrtzp-81";
    world.join(GRACE, "zvlqkd-wkrtzp", "member").await;
    assert!(fault(attempt(own).await).contains("easy to guess"));
    // A person who is not a member of the workspace may use its name.
    world.execute("DELETE FROM memberships").await;
    attempt(own).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn changed_password_ends_all_other_sessions_and_known_browsers(pool: PgPool) {
    let world = World::founded(pool).await;
    let other = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    let own = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    let ctx = by(&world, &own.secret).await.unwrap();
    let changed = change(&world, &ctx, PASSWORD, NEW).await.unwrap();
    assert_eq!(changed.ended, 1);
    assert!(by(&world, &other.secret).await.is_none(), "another session ends");
    assert!(by(&world, &own.secret).await.is_none(), "this one has another secret");
    let (secret, end) = changed.session.unwrap();
    assert_eq!(by(&world, &secret).await.unwrap().session, ctx.session);
    assert_eq!(end, own.expires_at, "the new session does not last longer");
    assert_eq!(code(sign_in(&world, OWNER, PASSWORD).await), ProblemCode::InvalidCredentials);
    sign_in(&world, OWNER, NEW).await.unwrap();
    assert_eq!(actions(&world).await.iter().filter(|a| *a == "user.password_change").count(), 1);

    // The proof of a known browser was renewed: other clients used up the attempts of the account
    // and the address.
    world
        .execute(
            "UPDATE sign_in_attempts SET open_at = open_at + interval '10 minutes', attempts = 50",
        )
        .await;
    let throttled = sign_in_at(&world, OWNER, NEW, other.known_browser).await;
    assert_eq!(code(throttled), ProblemCode::TooManyAttempts);
    sign_in_at(&world, OWNER, NEW, Some(changed.known_browser)).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn wrong_old_password_is_a_failed_sign_in_and_a_bad_new_one_is_not(pool: PgPool) {
    let world = World::founded(pool).await;
    let ctx = by(&world, &sign_in(&world, OWNER, PASSWORD).await.unwrap().secret).await.unwrap();
    for (new, said) in [
        ("short", "must have at least 15 characters; this has 5"),
        ("password12345678", "is too easy to guess"),
        ("ada@example.com-1", "is too easy to guess"),
    ] {
        for _ in 0..12 {
            let said_now = fault(change(&world, &ctx, "wrong password", new).await);
            assert!(said_now.starts_with(&format!("new_password {said}")), "{said_now}");
        }
    }
    let same = fault(change(&world, &ctx, PASSWORD, PASSWORD).await);
    assert_eq!(same, "new_password must not be your current password");
    for _ in 0..10 {
        let said = fault(change(&world, &ctx, "wrong password", NEW).await);
        assert_eq!(said, "current_password is wrong");
    }
    assert_eq!(code(change(&world, &ctx, PASSWORD, NEW).await), ProblemCode::TooManyAttempts);
    assert_eq!(code(sign_in(&world, OWNER, PASSWORD).await), ProblemCode::TooManyAttempts);
    world.pass(Duration::minutes(1));
    sign_in(&world, OWNER, PASSWORD).await.unwrap();
    world.authority.close().await;
    let actions: Vec<String> = {
        let pool = PgPool::connect_with((*world.pool.connect_options()).clone()).await.unwrap();
        sqlx::query_scalar("SELECT action FROM audit_events").fetch_all(&pool).await.unwrap()
    };
    for told in ["session.sign_in_failed", "session.sign_in_throttled"] {
        assert!(actions.iter().any(|action| action == told), "{told} in {actions:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn only_people_change_their_password(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("tessera", &["tokens:write"]).await;
    for (ctx, expected) in [
        (world.anonymous(), ProblemCode::Unauthenticated),
        (world.operator(), ProblemCode::Forbidden),
        (world.bearer(&minted).await, ProblemCode::Forbidden),
    ] {
        assert_eq!(code(change(&world, &ctx, PASSWORD, NEW).await), expected);
        assert_eq!(code(world.authority.passwords().account(&ctx).await), expected);
    }
}

#[sqlx::test(migrations = false)]
async fn password_that_an_administrator_chose_must_be_changed_first(pool: PgPool) {
    let world = World::founded(pool).await;
    given(&world, GRACE, InstanceRole::Admin).await;
    let session = sign_in(&world, GRACE, PASSWORD).await.unwrap();
    assert!(session.must_change_password);
    let ctx = by(&world, &session.secret).await.unwrap();
    assert!(matches!(ctx.actor, Actor::Restricted(_)));
    let core = &world.authority;
    let home = slug("workspace-1");
    let refusals = [
        code(core.users().list(&ctx, &UserQuery::default()).await),
        code(core.sessions().list(&ctx, &SessionQuery::default()).await),
        code(core.workspaces().list(&ctx).await),
        code(core.workspaces().home(&ctx).await),
        code(core.workspaces().show(&ctx, &home).await),
        code(core.tokens().create(&ctx, &home, crate::support::draft(&["rivers:read"])).await),
        code(core.audit().recent(&ctx, &home, 1).await),
        code(core.users().create(&ctx, new_user("eve@example.com", InstanceRole::Owner)).await),
    ];
    assert!(
        refusals.iter().all(|code| *code == ProblemCode::PasswordChangeRequired),
        "{refusals:?}"
    );
    assert!(core.passwords().account(&ctx).await.unwrap().must_change_password);

    // Surfaces on which the password cannot be changed accept no sign-in.
    let kriten = core.context(Actor::Anonymous, Surface::Kriten, "r".into(), None);
    let typed = || SignIn {
        email: GRACE.into(),
        password: password(PASSWORD),
        user_agent: None,
        known_browser: None,
    };
    let refused = core.sessions().sign_in(&kriten, typed()).await;
    assert_eq!(code(refused), ProblemCode::PasswordChangeRequired);

    let (secret, _) = change(&world, &ctx, PASSWORD, NEW).await.unwrap().session.unwrap();
    let ctx = by(&world, &secret).await.unwrap();
    core.users().list(&ctx, &UserQuery::default()).await.unwrap();
    assert!(!core.passwords().account(&ctx).await.unwrap().must_change_password);
    assert!(!sign_in(&world, OWNER, PASSWORD).await.unwrap().must_change_password, "set-up");
}

#[sqlx::test(migrations = false)]
async fn link_sets_a_password_once_and_ends_all_sessions(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let grace = given(&world, GRACE, InstanceRole::Member).await;
    let session = sign_in(&world, GRACE, PASSWORD).await.unwrap();
    let first = link(&world, &ada, grace).await;
    let link = link(&world, &ada, grace).await;
    assert!(!works(&world, &first.secret).await, "a new link replaces the older one");
    assert!(!works(&world, &PasswordLinkSecret::new("guess".into())).await);
    assert!(works(&world, &link.secret).await, "viewing the page does not use up the link");
    let stored: Vec<u8> = sqlx::query_scalar("SELECT digest FROM password_links")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_ne!(stored, link.secret.expose().as_bytes());
    assert!(by(&world, &session.secret).await.is_some(), "nothing changes before it is used");

    assert!(fault(redeem(&world, &link.secret, "short").await).starts_with("new_password must"));
    let (one, two) = tokio::join!(
        redeem(&world, &link.secret, NEW),
        redeem(&world, &link.secret, "n7fjqx0vzkw2mhd")
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1, "{one:?} {two:?}");
    let chosen = if one.is_ok() { NEW } else { "n7fjqx0vzkw2mhd" };
    assert!(!works(&world, &link.secret).await);
    assert!(by(&world, &session.secret).await.is_none());
    assert_eq!(code(sign_in(&world, GRACE, PASSWORD).await), ProblemCode::InvalidCredentials);
    let session = sign_in(&world, GRACE, chosen).await.unwrap();
    assert!(!session.must_change_password, "its owner chose it");
    let actions = actions(&world).await;
    for told in ["user.password_link", "user.password_reset"] {
        assert!(actions.iter().any(|action| action == told), "{told} in {actions:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn link_expires_after_a_day_and_when_the_owner_changes_the_password(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let grace = given(&world, GRACE, InstanceRole::Member).await;
    let late = link(&world, &ada, grace).await;
    world.pass(Duration::hours(24) - Duration::SECOND);
    assert!(works(&world, &late.secret).await);
    world.pass(Duration::SECOND);
    assert!(!works(&world, &late.secret).await);
    assert_eq!(code(redeem(&world, &late.secret, NEW).await), ProblemCode::NotFound);
    let older = link(&world, &world.owner().await, grace).await;
    assert!(works(&world, &older.secret).await);
    let session = sign_in(&world, GRACE, PASSWORD).await.unwrap();
    let ctx = by(&world, &session.secret).await.unwrap();
    change(&world, &ctx, PASSWORD, NEW).await.unwrap();
    assert!(!works(&world, &older.secret).await);
}

#[sqlx::test(migrations = false)]
async fn link_is_created_only_by_callers_who_may_set_the_password(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let Some(ada_id) = ada_id(&ada) else { panic!("no person") };
    let passwords = world.authority.passwords();
    given(&world, "adam@example.com", InstanceRole::Admin).await;
    let adam = world.signed_in("adam@example.com").await;
    let grace = given(&world, GRACE, InstanceRole::Member).await;
    let eve = world.person("eve", Some(("workspace-1", "admin"))).await;

    assert_eq!(code(passwords.issue_link(&adam, ada_id).await), ProblemCode::Forbidden);
    assert_eq!(code(passwords.issue_link(&ada, ada_id).await), ProblemCode::Forbidden);
    assert_eq!(code(passwords.issue_link(&eve, grace).await), ProblemCode::NotFound);
    assert_eq!(
        code(passwords.issue_link(&world.anonymous(), grace).await),
        ProblemCode::Unauthenticated
    );
    passwords.issue_link(&world.operator(), ada_id).await.unwrap();

    let bot = NewUser {
        kind: UserKind::Service,
        password: None,
        ..new_user("bot@example.com", InstanceRole::Member)
    };
    let bot = world.authority.users().create(&ada, bot).await.unwrap();
    let said = fault(passwords.issue_link(&ada, bot.summary.id).await);
    assert_eq!(said, "user is a service account, which has no password");

    // A link may do what its issuer may do now, not what they could do when they issued it.
    let users = world.authority.users();
    let role = |role| UserChange { instance_role: Some(role), ..UserChange::default() };
    let of_adam = link(&world, &adam, grace).await;
    users.change(&ada, grace, role(InstanceRole::Owner), None).await.unwrap();
    assert!(!works(&world, &of_adam.secret).await, "the link would set an owner's password");
    users.change(&ada, grace, role(InstanceRole::Member), None).await.unwrap();
    assert!(!works(&world, &of_adam.secret).await, "the link does not work again");
    let of_adam = link(&world, &adam, grace).await;
    let adam_id = ada_id_of(&adam);
    users.change(&ada, adam_id, role(InstanceRole::Member), None).await.unwrap();
    assert!(!works(&world, &of_adam.secret).await);
    users.change(&ada, adam_id, role(InstanceRole::Admin), None).await.unwrap();
    assert!(!works(&world, &of_adam.secret).await, "the link does not work again");
    // Servers of version 0.1 do not delete links, so the rights of a link are checked whenever it
    // is used.
    let of_adam = link(&world, &adam, grace).await;
    world
        .execute("UPDATE users SET instance_role = 'member' WHERE email = 'adam@example.com'")
        .await;
    assert!(!works(&world, &of_adam.secret).await);
    world
        .execute("UPDATE users SET instance_role = 'admin' WHERE email = 'adam@example.com'")
        .await;
    assert!(works(&world, &of_adam.secret).await);
    // A change that keeps the issuer's right keeps the link.
    users.change(&ada, adam_id, role(InstanceRole::Owner), None).await.unwrap();
    assert!(works(&world, &of_adam.secret).await);

    let disabled = UserChange { enabled: Some(false), ..UserChange::default() };
    users.change(&ada, grace, disabled, None).await.unwrap();
    assert!(!works(&world, &of_adam.secret).await);
    assert_eq!(fault(passwords.issue_link(&ada, grace).await), "user is disabled; enable it first");
    let enabled = UserChange { enabled: Some(true), ..UserChange::default() };
    users.change(&ada, grace, enabled, None).await.unwrap();
    assert!(!works(&world, &of_adam.secret).await, "the link does not work again");
}

fn ada_id(ctx: &OpContext) -> Option<UserId> {
    match &ctx.actor {
        Actor::User(visitor) => Some(visitor.user.id),
        _ => None,
    }
}

fn ada_id_of(ctx: &OpContext) -> UserId {
    ada_id(ctx).expect("a person")
}

/// Creates a person whose password was chosen by Adam, an administrator. Returns their
/// session, too.
async fn given_by_adam(world: &World) -> (OpContext, UserId, SignedIn) {
    given(world, "adam@example.com", InstanceRole::Admin).await;
    let adam = world.signed_in("adam@example.com").await;
    let grace = new_user(GRACE, InstanceRole::Member);
    let grace = world.authority.users().create(&adam, grace).await.unwrap().summary.id;
    let session = sign_in(world, GRACE, PASSWORD).await.unwrap();
    assert!(session.must_change_password);
    (adam, grace, session)
}

#[sqlx::test(migrations = false)]
async fn password_set_by_an_administrator_expires_with_their_right_to_set_it(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let (adam, grace, session) = given_by_adam(&world).await;
    let users = world.authority.users();
    let role = |role| UserChange { instance_role: Some(role), ..UserChange::default() };
    users.change(&ada, grace, role(InstanceRole::Owner), None).await.unwrap();
    assert!(by(&world, &session.secret).await.is_none(), "Adam would be an owner");
    assert_eq!(code(sign_in(&world, GRACE, PASSWORD).await), ProblemCode::InvalidCredentials);
    assert!(actions(&world).await.iter().any(|action| action == "user.password_end"));
    // Neither comes back with the role.
    users.change(&ada, grace, role(InstanceRole::Member), None).await.unwrap();
    assert!(by(&world, &session.secret).await.is_none());
    assert_eq!(code(sign_in(&world, GRACE, PASSWORD).await), ProblemCode::InvalidCredentials);
    // A link is the way out.
    let way_out = link(&world, &ada, grace).await;
    redeem(&world, &way_out.secret, NEW).await.unwrap();
    users.change(&ada, grace, role(InstanceRole::Owner), None).await.unwrap();
    assert!(!sign_in(&world, GRACE, NEW).await.unwrap().must_change_password, "her own");

    // The same applies if the issuer loses the right: demoted, disabled or removed.
    let adam_id = ada_id_of(&adam);
    let disabled = || UserChange { enabled: Some(false), ..UserChange::default() };
    for (email, what) in
        [("d@example.com", "demoted"), ("e@example.com", "disabled"), ("f@example.com", "removed")]
    {
        users.create(&adam, new_user(email, InstanceRole::Member)).await.unwrap();
        let session = sign_in(&world, email, PASSWORD).await.unwrap();
        match what {
            "demoted" => {
                users.change(&ada, adam_id, role(InstanceRole::Member), None).await.unwrap();
                users.change(&ada, adam_id, role(InstanceRole::Admin), None).await.unwrap();
            }
            "disabled" => {
                users.change(&ada, adam_id, disabled(), None).await.unwrap();
                let enabled = UserChange { enabled: Some(true), ..UserChange::default() };
                users.change(&ada, adam_id, enabled, None).await.unwrap();
            }
            _ => drop(users.remove(&ada, adam_id, None).await.unwrap()),
        }
        assert!(by(&world, &session.secret).await.is_none(), "{what}");
        assert_eq!(
            code(sign_in(&world, email, PASSWORD).await),
            ProblemCode::InvalidCredentials,
            "{what}"
        );
    }
}

#[sqlx::test(migrations = false)]
async fn right_to_set_a_password_is_checked_at_sign_in_and_at_every_request(pool: PgPool) {
    let world = World::founded(pool).await;
    let (_, _, session) = given_by_adam(&world).await;
    let before = by(&world, &session.secret).await.unwrap();
    // Servers of version 0.1 expire no passwords when they change a role.
    for (sql, back) in [
        (
            "UPDATE users SET instance_role = 'owner' WHERE email = 'grace@example.com'",
            "UPDATE users SET instance_role = 'member' WHERE email = 'grace@example.com'",
        ),
        (
            "UPDATE users SET instance_role = 'member' WHERE email = 'adam@example.com'",
            "UPDATE users SET instance_role = 'admin' WHERE email = 'adam@example.com'",
        ),
        (
            "UPDATE users SET enabled = false WHERE email = 'adam@example.com'",
            "UPDATE users SET enabled = true WHERE email = 'adam@example.com'",
        ),
    ] {
        world.execute(sql).await;
        assert!(by(&world, &session.secret).await.is_none(), "{sql}");
        assert_eq!(code(sign_in(&world, GRACE, PASSWORD).await), ProblemCode::InvalidCredentials);
        // A request that was authenticated a moment before.
        assert_eq!(
            code(change(&world, &before, PASSWORD, NEW).await),
            ProblemCode::Unauthenticated
        );
        world.execute(back).await;
        assert!(by(&world, &session.secret).await.is_some(), "{back}");
    }
    world.authority.write_refusals().await.unwrap();
    let reasons: Vec<String> = sqlx::query_scalar(
        "SELECT after->>'reason' FROM audit_events WHERE action = 'session.sign_in_failed'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(
        reasons,
        ["the administrator who set this password is no longer allowed to set it"; 3]
    );
    change(&world, &before, PASSWORD, NEW).await.unwrap();
    world.execute("UPDATE users SET enabled = false WHERE email = 'adam@example.com'").await;
    assert!(!sign_in(&world, GRACE, NEW).await.unwrap().must_change_password, "her own");
}

#[sqlx::test(migrations = false)]
async fn new_password_must_differ_from_the_current_one_in_every_unicode_form(pool: PgPool) {
    let world = World::founded(pool).await;
    let (composed, decomposed) =
        ("caf\u{e9} ladder mist drums violet", "cafe\u{301} ladder mist drums violet");
    let new =
        NewUser { password: Some(password(composed)), ..new_user(GRACE, InstanceRole::Member) };
    let grace = world.authority.users().create(&world.operator(), new).await.unwrap().summary.id;
    let session = sign_in(&world, GRACE, composed).await.unwrap();
    let ctx = by(&world, &session.secret).await.unwrap();
    let same = "new_password must not be your current password";
    for new in [composed, decomposed] {
        assert_eq!(fault(change(&world, &ctx, composed, new).await), same);
        let link = link(&world, &world.operator(), grace).await;
        assert_eq!(fault(redeem(&world, &link.secret, new).await), same);
        assert!(works(&world, &link.secret).await, "the link is not used up");
    }
    assert!(sign_in(&world, GRACE, composed).await.unwrap().must_change_password);
    change(&world, &ctx, decomposed, NEW).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn equivalent_unicode_forms_are_one_address(pool: PgPool) {
    let world = World::founded(pool).await;
    let (composed, decomposed) = ("zo\u{e9}@example.com", "Zoe\u{301}@example.com");
    given(&world, composed, InstanceRole::Member).await;
    let users = world.authority.users();
    let again = users.create(&world.operator(), new_user(decomposed, InstanceRole::Member)).await;
    assert_eq!(code(again), ProblemCode::AlreadyExists);
    sign_in(&world, decomposed, PASSWORD).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn person_without_a_password_gets_a_link(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let users = world.authority.users();
    let new = || NewUser { password: None, ..new_user(GRACE, InstanceRole::Member) };
    assert_eq!(fault(users.create(&ada, new()).await), "password is missing");
    let with = new_user(GRACE, InstanceRole::Member);
    assert!(
        fault(users.create_with_link(&ada, with).await).starts_with("password must be omitted")
    );
    let service = NewUser { kind: UserKind::Service, ..new() };
    assert!(fault(users.create_with_link(&ada, service).await).starts_with("kind must be person"));
    let (grace, link) = users.create_with_link(&ada, new()).await.unwrap();
    assert_eq!(grace.summary, link.user);
    assert_eq!(code(sign_in(&world, GRACE, "").await), ProblemCode::InvalidCredentials);
    redeem(&world, &link.secret, NEW).await.unwrap();
    assert!(!sign_in(&world, GRACE, NEW).await.unwrap().must_change_password);
}

#[sqlx::test(migrations = false)]
async fn guesses_at_links_are_limited_by_address_and_block_no_valid_link(pool: PgPool) {
    let world = World::founded(pool).await;
    let grace = given(&world, GRACE, InstanceRole::Member).await;
    let link = link(&world, &world.operator(), grace).await;
    let passwords = world.authority.passwords();
    let ctx = world.anonymous();
    let guess = async |ctx: &OpContext, number: usize| {
        let guess = PasswordLinkSecret::new(format!("guess {number}"));
        code(passwords.check_link(ctx, &guess).await)
    };
    for number in 0..100 {
        // Opening a valid link does not count as an attempt.
        passwords.check_link(&ctx, &link.secret).await.unwrap();
        assert_eq!(guess(&ctx, number).await, ProblemCode::NotFound, "{number}");
    }
    assert_eq!(guess(&ctx, 100).await, ProblemCode::TooManyAttempts);
    let elsewhere = Some("192.0.2.2".parse().unwrap());
    let elsewhere =
        world.authority.context(Actor::Anonymous, Surface::Console, "r".into(), elsewhere);
    assert_eq!(guess(&elsewhere, 100).await, ProblemCode::NotFound);
    // A link works even from an address that guesses links.
    passwords.check_link(&ctx, &link.secret).await.unwrap();
    passwords.redeem(&ctx, &link.secret, &password(NEW)).await.unwrap();
    assert_eq!(code(passwords.check_link(&ctx, &link.secret).await), ProblemCode::TooManyAttempts);
}

#[sqlx::test(migrations = false)]
async fn new_password_checks_are_limited_by_person_and_do_not_block_others(pool: PgPool) {
    let world = World::founded(pool).await;
    let grace = given(&world, GRACE, InstanceRole::Member).await;
    let link = link(&world, &world.operator(), grace).await;
    let session = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    let ctx = by(&world, &session.secret).await.unwrap();
    for _ in 0..60 {
        let said = fault(change(&world, &ctx, PASSWORD, "too short").await);
        assert!(said.starts_with("new_password must have at least 15"), "{said}");
    }
    let stopped = change(&world, &ctx, PASSWORD, NEW).await;
    assert_eq!(code(stopped), ProblemCode::TooManyAttempts);
    // This delays neither signing in nor the use of another person's link.
    sign_in(&world, OWNER, PASSWORD).await.unwrap();
    for _ in 0..60 {
        let judged = redeem(&world, &link.secret, "too short").await;
        assert_eq!(code(judged), ProblemCode::ValidationFailed);
    }
    assert_eq!(code(redeem(&world, &link.secret, NEW).await), ProblemCode::TooManyAttempts);
    world.pass(Duration::seconds(5));
    redeem(&world, &link.secret, NEW).await.unwrap();
    let ctx = by(&world, &session.secret).await.unwrap();
    change(&world, &ctx, PASSWORD, NEW).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn weak_password_of_version_0_1_still_signs_in_and_is_reported(pool: PgPool) {
    let world = World::founded(pool).await;
    let old = "password1234";
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(old.as_bytes(), b"0123456789abcdef").unwrap();
    sqlx::query("UPDATE users SET password_hash = $1")
        .bind(hash.to_string())
        .execute(&world.pool)
        .await
        .unwrap();
    let session = sign_in(&world, OWNER, old).await.unwrap();
    assert!(session.password_is_weak && !session.must_change_password);
    let ctx = by(&world, &session.secret).await.unwrap();
    let is_weak = async |ctx: &OpContext| {
        world.authority.passwords().account(ctx).await.unwrap().password_is_weak
    };
    assert!(is_weak(&ctx).await);
    change(&world, &ctx, old, NEW).await.unwrap();
    assert!(!is_weak(&ctx).await);
    assert!(!sign_in(&world, OWNER, NEW).await.unwrap().password_is_weak);
}

#[sqlx::test(migrations = false)]
async fn sign_in_in_progress_does_not_survive_a_new_password(pool: PgPool) {
    let world = World::founded(pool).await;
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users FOR UPDATE").execute(&mut *holder).await.unwrap();
    let core = world.authority.clone();
    let ctx = world.anonymous();
    let attempt = tokio::spawn(async move {
        let sign_in = SignIn {
            email: OWNER.into(),
            password: password(PASSWORD),
            user_agent: None,
            known_browser: None,
        };
        core.sessions().sign_in(&ctx, sign_in).await.map(drop)
    });
    // Once it waits for the row, it has already checked the old password.
    let began = Instant::now();
    loop {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                             AND wait_event_type = 'Lock')",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        if waits {
            break;
        }
        assert!(began.elapsed().as_secs() < 60, "the sign-in never waited for the row");
        tokio::task::yield_now().await;
    }
    sqlx::query(
        "UPDATE users SET password_hash = 'another', browser_generation = browser_generation + 1",
    )
    .execute(&mut *holder)
    .await
    .unwrap();
    sqlx::query("DELETE FROM sessions").execute(&mut *holder).await.unwrap();
    holder.commit().await.unwrap();
    assert_eq!(code(attempt.await.unwrap()), ProblemCode::InvalidCredentials);
    let sessions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&world.pool).await.unwrap();
    assert_eq!(sessions, 0);
}
