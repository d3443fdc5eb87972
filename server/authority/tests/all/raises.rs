//! A higher role on the instance: no one gains its rights along with the person who gets the role.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{PASSWORD, World, demand, draft, password, slug, until};
use authority::{
    Actor, ChangedUser, Format, KnownSecrets, MintedToken, NewUser, OpContext, PasswordChange,
    RotationDraft, ServiceError, SignIn, SignedIn, TokenDraft, TokenPatch, UserChange,
    secret::{KnownBrowser, SessionSecret},
};
use domain::{
    decision::{DecisionCode, Demand},
    ids::UserId,
    policy::{PolicyRules, Reveal},
    problem::ProblemCode,
    roles::{InstanceRole, UserKind},
    token::Standing,
};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use time::Duration;
use tokio::time::Instant;

const HOME: &str = "workspace-1";
const NEW: &str = "tr0mbone ladder mist drums";
const OTHER: &str = "quartz pelican hammock bassoon turnip";
const GRACE: &str = "grace@example.com";

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn id(ctx: &OpContext) -> UserId {
    match &ctx.actor {
        Actor::User(visitor) | Actor::Restricted(visitor) => visitor.user.id,
        _ => panic!("not a person"),
    }
}

async fn sign_in_with(
    world: &World,
    email: &str,
    text: &str,
    known_browser: Option<KnownBrowser>,
) -> Result<SignedIn, ServiceError> {
    let sign_in =
        SignIn { email: email.into(), password: password(text), user_agent: None, known_browser };
    world.authority.sessions().sign_in(&world.anonymous(), sign_in).await
}

async fn sign_in(world: &World, email: &str, text: &str) -> Result<SignedIn, ServiceError> {
    sign_in_with(world, email, text, None).await
}

async fn by(world: &World, secret: &SessionSecret) -> Option<OpContext> {
    let found = world.authority.sessions().resolve(&world.anonymous(), secret).await.unwrap()?;
    let session = Some(found.id);
    let mut ctx = world.context(found.actor());
    ctx.session = session;
    Some(ctx)
}

/// Creates a user whose password the caller chooses.
async fn give(world: &World, ctx: &OpContext, email: &str, role: InstanceRole) -> UserId {
    let new = NewUser {
        kind: UserKind::Person,
        email: email.into(),
        name: None,
        instance_role: role,
        password: Some(password(PASSWORD)),
    };
    world.authority.users().create(ctx, new).await.unwrap().summary.id
}

/// Signs in with the password that was given, and changes it.
async fn take_over(world: &World, email: &str, new: &str) -> OpContext {
    let session = sign_in(world, email, PASSWORD).await.unwrap();
    let ctx = by(world, &session.secret).await.unwrap();
    let change = PasswordChange {
        current: password(PASSWORD),
        new: password(new),
        known_browser: session.known_browser,
    };
    let changed = world.authority.passwords().change(&ctx, change).await.unwrap();
    by(world, &changed.session.unwrap().0).await.unwrap()
}

async fn redeem_link(world: &World, by: &OpContext, user: UserId, new: &str) {
    let passwords = world.authority.passwords();
    let link = passwords.issue_link(by, user).await.unwrap();
    passwords.redeem(&world.anonymous(), &link.secret, &password(new)).await.unwrap();
}

async fn set_role(world: &World, by: &OpContext, user: UserId, role: InstanceRole) -> ChangedUser {
    world.pass(Duration::seconds(1));
    let change = UserChange { instance_role: Some(role), ..UserChange::default() };
    let mut by = by.clone();
    by.now = world.authority.now();
    let changed = world.authority.users().change(&by, user, change, None).await.unwrap();
    world.pass(Duration::seconds(1));
    changed
}

/// Creates Adam, an administrator of the instance who is not an owner.
async fn adam(world: &World) -> OpContext {
    let adam = world.person("adam", None).await;
    world
        .execute("UPDATE users SET instance_role = 'admin' WHERE email = 'adam@example.com'")
        .await;
    drop(adam);
    world.signed_in("adam@example.com").await
}

#[sqlx::test(migrations = false)]
async fn password_that_descends_from_an_administrator_expires_when_its_user_becomes_an_owner(
    pool: PgPool,
) {
    let world = World::founded(pool).await;
    let (ada, adam) = (world.owner().await, adam(&world).await);
    // Adam sets the password or issues a link, and then uses the account himself first.
    let by_password = give(&world, &adam, GRACE, InstanceRole::Member).await;
    take_over(&world, GRACE, NEW).await;
    let by_link = give(&world, &ada, "linda@example.com", InstanceRole::Member).await;
    redeem_link(&world, &adam, by_link, NEW).await;
    for (user, email) in [(by_password, GRACE), (by_link, "linda@example.com")] {
        let session = sign_in(&world, email, NEW).await.unwrap();
        let changed = set_role(&world, &ada, user, InstanceRole::Owner).await;
        assert!(changed.password_ended, "{email}");
        assert!(by(&world, &session.secret).await.is_none(), "{email}");
        assert_eq!(code(sign_in(&world, email, NEW).await), ProblemCode::InvalidCredentials);
        let noted: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM audit_events WHERE action = 'user.password_end' AND subject_id = $1",
        )
        .bind(user.0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
        assert_eq!(noted, 1, "{email}");
        // Taking back the role restores nothing, but an owner's link does.
        set_role(&world, &ada, user, InstanceRole::Member).await;
        assert_eq!(code(sign_in(&world, email, NEW).await), ProblemCode::InvalidCredentials);
        redeem_link(&world, &ada, user, OTHER).await;
        assert!(!set_role(&world, &ada, user, InstanceRole::Owner).await.password_ended, "{email}");
        sign_in(&world, email, OTHER).await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn password_from_an_owner_or_the_command_line_stays_valid_and_sessions_end(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    for (giver, email) in [(&ada, GRACE), (&world.operator(), "linda@example.com")] {
        let user = give(&world, giver, email, InstanceRole::Member).await;
        take_over(&world, email, NEW).await;
        let mut known = None;
        for role in [InstanceRole::Auditor, InstanceRole::Admin, InstanceRole::Owner] {
            let session = sign_in_with(&world, email, NEW, known).await.unwrap();
            assert!(!set_role(&world, &ada, user, role).await.password_ended, "{role}");
            assert!(by(&world, &session.secret).await.is_none(), "{role}");
            known = session.known_browser;
        }
        // Known browsers are forgotten, and with them their separate attempts.
        let generation: i64 =
            sqlx::query_scalar("SELECT browser_generation FROM users WHERE id = $1")
                .bind(user.0)
                .fetch_one(&world.pool)
                .await
                .unwrap();
        assert_eq!(generation, 4, "the change of the password and three roles");
        // A lower role deletes no session.
        let session = sign_in(&world, email, NEW).await.unwrap();
        set_role(&world, &ada, user, InstanceRole::Member).await;
        assert!(by(&world, &session.secret).await.is_some());
    }
}

#[sqlx::test(migrations = false)]
async fn password_stays_valid_while_its_setter_may_set_it_for_the_new_role(pool: PgPool) {
    let world = World::founded(pool).await;
    let (ada, adam) = (world.owner().await, adam(&world).await);
    let (one, other) = ("one@example.com", "other@example.com");
    let first = give(&world, &adam, one, InstanceRole::Member).await;
    let second = give(&world, &adam, other, InstanceRole::Member).await;
    for email in [one, other] {
        take_over(&world, email, NEW).await;
    }
    assert!(!set_role(&world, &ada, first, InstanceRole::Admin).await.password_ended);
    // A password that Adam gave outlasts his role if it is kept, but permits no higher role.
    let change = UserChange {
        instance_role: Some(InstanceRole::Member),
        known_secrets: KnownSecrets::Keep,
        ..UserChange::default()
    };
    world.authority.users().change(&ada, id(&adam), change, None).await.unwrap();
    sign_in(&world, one, NEW).await.unwrap();
    sign_in(&world, other, NEW).await.unwrap();
    assert!(set_role(&world, &ada, second, InstanceRole::Auditor).await.password_ended);
    assert!(set_role(&world, &ada, first, InstanceRole::Owner).await.password_ended);
}

#[sqlx::test(migrations = false)]
async fn passwords_set_by_an_expired_account_expire_as_well(pool: PgPool) {
    let world = World::founded(pool).await;
    let (ada, adam) = (world.owner().await, adam(&world).await);
    let grace = give(&world, &adam, GRACE, InstanceRole::Admin).await;
    let as_grace = take_over(&world, GRACE, NEW).await;
    let victim = "victim@example.com";
    let given = give(&world, &as_grace, victim, InstanceRole::Member).await;
    take_over(&world, victim, NEW).await;
    let link = world.authority.passwords().issue_link(&as_grace, given).await.unwrap();
    set_role(&world, &ada, grace, InstanceRole::Owner).await;
    let refused = world.authority.passwords().check_link(&world.anonymous(), &link.secret).await;
    assert_eq!(code(refused), ProblemCode::NotFound);
    // Grace is an owner now. It was Adam who gave this password.
    assert!(set_role(&world, &ada, given, InstanceRole::Owner).await.password_ended);
    assert_eq!(code(sign_in(&world, victim, NEW).await), ProblemCode::InvalidCredentials);
}

/// Wanda, who administers only the workspace, and Memb, who becomes an administrator of
/// the instance.
struct Scene {
    world: World,
    ada: OpContext,
    wanda: OpContext,
    memb: OpContext,
}

impl Scene {
    async fn new(pool: PgPool) -> Self {
        let world = World::founded(pool).await;
        let ada = world.owner().await;
        let wanda = world.person("wanda", Some((HOME, "admin"))).await;
        let memb = world.person("memb", Some((HOME, "admin"))).await;
        let level = authority::PolicyLevel::Workspace(slug(HOME));
        let rules =
            PolicyRules { reveal: Some(Reveal::RecoverableAllowed), ..PolicyRules::default() };
        world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
        Self { world, ada, wanda, memb }
    }

    /// Returns the same caller, at the current time.
    fn now(&self, ctx: &OpContext) -> OpContext {
        let mut ctx = ctx.clone();
        ctx.now = self.world.authority.now();
        ctx
    }

    /// Creates a token that acts as Memb.
    async fn mint(&self, by: &OpContext, name: &str) -> MintedToken {
        self.world.pass(Duration::seconds(1));
        let by = &self.now(by);
        let wish = TokenDraft {
            name: name.into(),
            user: Some("memb@example.com".into()),
            audiences: vec!["default".into(), "tessera".into()],
            recoverable: authority::Recoverable::Yes,
            // A token cannot view a secret that expires later than itself.
            expiry: domain::expiry::parse("never"),
            ..draft(&["rivers:read", "verify", "tokens:write", "tokens:reveal"])
        };
        self.world.mint(by, HOME, wish).await
    }

    async fn rotate(&self, by: &OpContext, token: &MintedToken, grace_s: i64) -> MintedToken {
        self.world.pass(Duration::seconds(1));
        let by = &self.now(by);
        let wish = RotationDraft { grace_s: Some(grace_s), ..RotationDraft::default() };
        self.world.authority.tokens().rotate(by, token.token.id, None, wish).await.unwrap()
    }

    async fn reveal(&self, by: &OpContext, token: &MintedToken) {
        self.world.pass(Duration::seconds(1));
        let by = &self.now(by);
        self.world.authority.tokens().reveal(by, token.token.id, None).await.unwrap();
    }

    async fn decide(&self, token: &MintedToken) -> DecisionCode {
        self.world.decide(token.secret.expose(), &Demand::default()).await
    }

    async fn exposed(&self) -> Vec<String> {
        let exposed = self.world.authority.tokens().exposed(&self.world.operator()).await.unwrap();
        exposed
            .into_iter()
            .map(|token| format!("{} {}", token.name, token.holders.join(" ")))
            .collect()
    }
}

#[sqlx::test(migrations = false)]
async fn tokens_with_secrets_known_to_others_are_disabled_when_the_role_is_raised(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb } = &scene;
    let made = scene.mint(wanda, "made").await;
    let own = scene.mint(memb, "own").await;
    let of_ada = scene.mint(ada, "of-ada").await;
    let of_operator = scene.mint(&world.operator(), "of-operator").await;
    let rotated = scene.rotate(wanda, &scene.mint(memb, "rotated").await, 0).await;
    let revealed = scene.mint(memb, "revealed").await;
    scene.reveal(wanda, &revealed).await;
    let safe = scene.rotate(memb, &scene.mint(wanda, "safe").await, 0).await;
    let in_grace = scene.rotate(memb, &scene.mint(wanda, "in-grace").await, 3_600).await;
    // A token that Wanda created gets secrets for her.
    let hers = world.bearer(&made).await;
    let by_hers = scene.mint(&hers, "by-hers").await;
    let shown = scene.mint(memb, "shown").await;
    scene.reveal(&hers, &shown).await;
    // A token that acted as Wanda.
    let wish = TokenDraft { name: "handed-over".into(), ..draft(&["rivers:read"]) };
    let handed_over = world.mint(wanda, HOME, wish).await;
    let user = Some("memb@example.com".to_owned());
    let patch = TokenPatch { user, ..TokenPatch::default() };
    world.authority.tokens().update(ada, handed_over.token.id, None, patch).await.unwrap();
    assert_eq!(scene.exposed().await, [""; 0], "nobody here manages the instance");

    let changed = set_role(world, ada, id(memb), InstanceRole::Admin).await;
    let exposed = scene.exposed().await;
    assert_eq!((changed.disabled_tokens, changed.password_ended), (7, false), "{exposed:?}");
    for token in [&made, &rotated, &revealed, &in_grace, &by_hers, &shown, &handed_over] {
        assert_eq!(scene.decide(token).await, DecisionCode::Disabled, "{}", token.token.name);
        let token = world.authority.tokens().show(ada, token.token.id).await.unwrap();
        let by = token.disabled_by.unwrap();
        assert_eq!((by.user.unwrap().id, by.standing), (id(ada), Standing::Administrator));
    }
    for token in [&own, &of_ada, &of_operator, &safe] {
        assert_eq!(scene.decide(token).await, DecisionCode::Valid, "{}", token.token.name);
    }
    let noted: i64 = sqlx::query_scalar(
        "SELECT (after->>'disabled_tokens')::bigint FROM audit_events WHERE action = 'user.change'",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(noted, 7);
    assert_eq!(exposed.len(), 7);
    assert!(exposed.contains(&"made wanda@example.com".to_owned()), "{exposed:?}");
    // Wanda cannot enable any of them again. A rotation by a person who may hold the secret
    // resolves it.
    let tokens = world.authority.tokens();
    assert_eq!(code(tokens.enable(wanda, made.token.id, None).await), ProblemCode::Forbidden);
    for token in [&made, &rotated, &revealed, &in_grace, &by_hers, &shown, &handed_over] {
        scene.rotate(ada, token, 0).await;
        tokens.enable(ada, token.token.id, None).await.unwrap();
    }
    // A rotation keeps the grace period of a replaced secret that still works.
    assert_eq!(scene.exposed().await, ["in-grace wanda@example.com"]);
    tokens.end_grace(ada, in_grace.token.id, None).await.unwrap();
    assert_eq!(scene.exposed().await, [""; 0]);
}

/// Imports tokens that act as Memb and whose secrets Wanda knows.
async fn import(scene: &Scene, workspace: &str, count: usize) {
    let row = |number: usize| {
        let digest = hex::encode(Sha256::digest(format!("{workspace}{number}")));
        format!(
            r#"{{"digest":"{digest}","name":"imported","scopes":["rivers:run"],"owner":"memb@example.com"}}"#
        )
    };
    let rows = (0..count).map(row).collect::<Vec<_>>().join("\n");
    let (transfer, home) = (scene.world.authority.transfer(), slug(workspace));
    let imported = transfer.import(&scene.wanda, &home, Format::Jsonl, rows.as_bytes(), false);
    imported.await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn many_exposed_tokens_are_disabled_before_the_role_is_raised_without_delaying_others(
    pool: PgPool,
) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb } = &scene;
    world.pass(Duration::seconds(1));
    world.workspace("other").await;
    for email in ["wanda@example.com", "memb@example.com"] {
        world.join(email, "other", "admin").await;
    }
    let bob = id(&world.person("bob", Some((HOME, "member"))).await);
    import(&scene, HOME, 501).await;
    import(&scene, "other", 1).await;
    // The other workspace is busy, and comes after this one.
    let mut busy = world.pool.begin().await.unwrap();
    sqlx::query(
        "SELECT FROM audit_heads h JOIN workspaces w ON w.id = h.chain WHERE w.slug = 'other' FOR UPDATE OF h",
    )
    .execute(&mut *busy)
    .await
    .unwrap();
    let (core, by, user) = (world.authority.clone(), ada.clone(), id(memb));
    let raising = tokio::spawn(async move {
        let role = Some(InstanceRole::Admin);
        let change = UserChange { instance_role: role, ..UserChange::default() };
        core.users().change(&by, user, change, None).await
    });
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock')";
    until("the change to wait for the lock", async || {
        let waits = sqlx::query_scalar::<_, bool>(waits).fetch_one(&world.pool).await.unwrap();
        assert!(waits || !raising.is_finished());
        waits
    })
    .await;
    let enabled = "SELECT count(*) FROM tokens t JOIN workspaces w ON w.id = t.workspace_id
                    WHERE t.enabled AND w.slug = $1";
    let enabled = async |workspace: &str| -> i64 {
        sqlx::query_scalar(enabled).bind(workspace).fetch_one(&world.pool).await.unwrap()
    };
    assert_eq!((enabled(HOME).await, enabled("other").await), (0, 1));
    // Meanwhile, other callers can disable users, create tokens and sign in.
    let off = UserChange { enabled: Some(false), ..UserChange::default() };
    world.authority.users().change(ada, bob, off, None).await.unwrap();
    world.mint(wanda, HOME, draft(&["rivers:read"])).await;
    world.signed_in("memb@example.com").await;
    // The change is interrupted, so no one has gained rights.
    raising.abort();
    raising.await.unwrap_err();
    busy.rollback().await.unwrap();
    let role: String = sqlx::query_scalar("SELECT instance_role FROM users WHERE id = $1")
        .bind(user.0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(role, "member");
    let changed = set_role(world, ada, user, InstanceRole::Admin).await;
    assert_eq!(changed.user.instance_role, InstanceRole::Admin);
    assert_eq!((changed.disabled_tokens, enabled("other").await), (1, 0));
    let noted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_events WHERE action = 'token.disable' AND after->>'enabled' = 'false'",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(noted, 502);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
}

#[sqlx::test(migrations = false)]
async fn tokens_of_an_account_that_its_password_setter_may_have_used_are_disabled(pool: PgPool) {
    let world = World::founded(pool).await;
    let (ada, adam) = (world.owner().await, adam(&world).await);
    let grace = give(&world, &adam, GRACE, InstanceRole::Member).await;
    let as_grace = take_over(&world, GRACE, NEW).await;
    world.join(GRACE, HOME, "admin").await;
    let token = world.mint(&as_grace, HOME, draft(&["rivers:read"])).await;
    set_role(&world, &ada, id(&adam), InstanceRole::Member).await;
    let changed = set_role(&world, &ada, grace, InstanceRole::Admin).await;
    assert_eq!((changed.disabled_tokens, changed.password_ended), (1, true));
    let ask = Demand::default();
    assert_eq!(world.decide(token.secret.expose(), &ask).await, DecisionCode::Disabled);
    // From then on, her acts are attributed to her.
    redeem_link(&world, &ada, grace, OTHER).await;
    let session = sign_in(&world, GRACE, OTHER).await.unwrap();
    let as_grace = by(&world, &session.secret).await.unwrap();
    world
        .mint(&as_grace, HOME, TokenDraft { name: "later".into(), ..draft(&["rivers:read"]) })
        .await;
    let exposed = world.authority.tokens().exposed(&world.operator()).await.unwrap();
    let names: Vec<&str> = exposed.iter().map(|token| &*token.name).collect();
    assert_eq!(names, ["ci"]);
}

#[sqlx::test(migrations = false)]
async fn token_created_while_the_role_of_its_user_is_raised_is_disabled(pool: PgPool) {
    let Scene { world, wanda, memb, .. } = Scene::new(pool).await;
    let ada = world.owner().await;
    let mut busy = world.pool.begin().await.unwrap();
    sqlx::query(
        "SELECT FROM audit_heads WHERE chain = '00000000-0000-0000-0000-000000000000' FOR UPDATE",
    )
    .execute(&mut *busy)
    .await
    .unwrap();
    let (core, user) = (world.authority.clone(), id(&memb));
    let raising = tokio::spawn(async move {
        let role = Some(InstanceRole::Admin);
        let change = UserChange { instance_role: role, ..UserChange::default() };
        core.users().change(&ada, user, change, None).await
    });
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                                   AND wait_event_type = 'Lock')";
    let began = Instant::now();
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&world.pool).await.unwrap() {
        assert!(began.elapsed().as_secs() < 60, "the change never waited for the log");
        tokio::task::yield_now().await;
    }
    // The change has already searched for tokens, and is not committed.
    let wish = TokenDraft { user: Some("memb@example.com".into()), ..draft(&["rivers:read"]) };
    let minted = world.mint(&wanda, HOME, wish).await;
    busy.rollback().await.unwrap();
    raising.await.unwrap().unwrap();
    let ask = demand("default", &["rivers:read"]);
    assert_eq!(world.decide(minted.secret.expose(), &ask).await, DecisionCode::Disabled);
}
