//! Secrets that a person may know, and what happens to them when the person loses rights or a token
//! gains some.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{OWNER, PASSWORD, World, draft, password, slug, until};
use authority::{
    Actor, Added, ChangedUser, Format, GrantsChange, KnownSecrets, MemberChange, MintedToken,
    NewMember, NewUser, OpContext, PasswordChange, PasswordDoubt, RotationDraft, ServiceError,
    SignIn, TokenDraft, TokenPatch, UserChange,
};
use domain::{
    decision::{DecisionCode, Demand},
    ids::UserId,
    problem::ProblemCode,
    roles::{InstanceRole, UserKind, WorkspaceRole},
    token::{Standing, Token},
};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
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

/// Ada, who owns the instance; Wanda and Memb, who administer the workspace; and Friend, who only
/// views it.
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

    /// Returns the same caller, one second later.
    fn later(&self, ctx: &OpContext) -> OpContext {
        self.world.pass(Duration::seconds(1));
        let mut ctx = ctx.clone();
        ctx.now = self.world.authority.now();
        ctx
    }

    /// Creates a token that acts as this user, with these scopes of `tessera` and one of
    /// another API.
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

    async fn decide(&self, token: &MintedToken) -> DecisionCode {
        self.world.decide(token.secret.expose(), &Demand::default()).await
    }

    async fn change(&self, user: &OpContext, change: MemberChange) -> i64 {
        let workspaces = self.world.authority.workspaces();
        let by = self.later(&self.ada);
        workspaces
            .change_member(&by, &slug(HOME), id(user), change, None)
            .await
            .unwrap()
            .disabled_tokens
    }

    async fn remove(&self, user: &OpContext, known: KnownSecrets) -> i64 {
        let workspaces = self.world.authority.workspaces();
        let by = self.later(&self.ada);
        let removed = workspaces.remove_member_and(&by, &slug(HOME), id(user), None, known).await;
        removed.unwrap().disabled_tokens
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.world.pool).await.unwrap()
    }

    async fn show(&self, token: &MintedToken) -> Token {
        self.world.authority.tokens().show(&self.ada, token.token.id).await.unwrap()
    }
}

#[sqlx::test(migrations = false)]
async fn token_is_handed_to_an_instance_administrator_only_after_a_rotation(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, .. } = &scene;
    let token = scene.mint(wanda, "friend", "verifier", &["verify"]).await;
    let plain = scene.mint(wanda, "friend", "plain", &[]).await;
    for token in [&token, &plain] {
        let before = scene.show(token).await;
        let refused = scene.hand_over(ada, token, "ada").await.unwrap_err();
        assert_eq!(refused.code(), ProblemCode::ValidationFailed);
        assert!(
            format!("{refused:?}").contains("Rotate the token without a grace period"),
            "{refused:?}"
        );
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
async fn token_of_a_removed_member_is_handed_to_a_more_powerful_user_only_after_a_rotation(
    pool: PgPool,
) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, .. } = &scene;
    let managing = scene.mint(wanda, "wanda", "managing", &["tokens:write"]).await;
    let plain = scene.mint(wanda, "wanda", "plain", &[]).await;
    let by_friend = scene.mint(ada, "friend", "by-friend", &["tokens:write"]).await;
    let early = scene.mint(wanda, "wanda", "early", &["tokens:write"]).await;
    // Wanda could grant all of its scopes herself.
    scene.hand_over(ada, &early, "memb").await.unwrap();
    world.execute("DELETE FROM memberships m USING users u WHERE u.id = m.user_id AND u.email LIKE 'wanda@%'").await;
    scene.hand_over(ada, &plain, "memb").await.unwrap();
    for (token, by) in [(&managing, ada), (&by_friend, memb)] {
        assert_eq!(code(scene.hand_over(by, token, "memb").await), ProblemCode::ValidationFailed);
        scene.rotate(by, token).await;
        scene.hand_over(by, token, "memb").await.unwrap();
    }
    // Grants limit what an administrator of the workspace could grant.
    let limited = scene.mint(memb, "memb", "limited", &["members:write"]).await;
    world.person("second", Some((HOME, "admin"))).await;
    world.execute("UPDATE memberships SET grants = '{tokens:*,rivers:*}' FROM users u WHERE u.id = user_id AND u.email LIKE 'memb@%'").await;
    assert_eq!(code(scene.hand_over(ada, &limited, "second").await), ProblemCode::ValidationFailed);
    world.execute("UPDATE memberships SET grants = '{rivers:*}', audience_grants = '{rivers:*,tessera/members:*}' FROM users u WHERE u.id = user_id AND u.email LIKE 'memb@%'").await;
    scene.hand_over(ada, &limited, "second").await.unwrap();
}

const VALID: DecisionCode = DecisionCode::Valid;
const DISABLED: DecisionCode = DecisionCode::Disabled;

fn role(role: WorkspaceRole) -> MemberChange {
    MemberChange { role: Some(role), ..MemberChange::default() }
}

fn instance_role(role: InstanceRole) -> UserChange {
    UserChange { instance_role: Some(role), ..UserChange::default() }
}

#[sqlx::test(migrations = false)]
async fn removed_member_does_not_return_with_a_token_of_a_colleague(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, .. } = &scene;
    let adding = scene.mint(wanda, "memb", "adding", &["members:write"]).await;
    let making = scene.mint(wanda, "memb", "making", &["tokens:write"]).await;
    // Tokens that were created by a token whose secret she may know.
    let made = scene.mint(&world.bearer(&making).await, "memb", "made", &["tokens:write"]).await;
    let calling = scene.mint(wanda, "memb", "calling", &[]).await;
    let reading = scene.mint(wanda, "memb", "reading", &["tokens:read"]).await;
    let own = scene.mint(memb, "memb", "own", &["members:write", "tokens:write"]).await;
    let of_ada = scene.mint(ada, "memb", "of-ada", &["tokens:write"]).await;
    let rotated = scene.mint(wanda, "memb", "rotated", &["tokens:write"]).await;
    scene.rotate(memb, &rotated).await;
    let hers = scene.mint(wanda, "wanda", "hers", &["tokens:write"]).await;
    let other = world.workspace("other").await;
    world.join("wanda@example.com", "other", "admin").await;
    world.join("memb@example.com", "other", "admin").await;
    let wish = TokenDraft {
        user: Some("memb@example.com".into()),
        audiences: vec!["tessera".into()],
        ..draft(&["tokens:write"])
    };
    let elsewhere = world.mint(&scene.later(wanda), other.as_ref(), wish).await;

    assert_eq!(scene.remove(wanda, KnownSecrets::Disable).await, 3);
    for token in [&adding, &making, &made] {
        assert_eq!(scene.decide(token).await, DISABLED, "{}", token.token.name);
        let by = scene.show(token).await.disabled_by.unwrap();
        assert_eq!((by.user.unwrap().id, by.standing), (id(ada), Standing::Administrator));
    }
    for token in [&calling, &reading, &own, &of_ada, &elsewhere] {
        assert_eq!(scene.decide(token).await, VALID, "{}", token.token.name);
    }
    assert!(scene.show(&rotated).await.enabled && scene.show(&hers).await.enabled);
    assert_eq!(scene.count("SELECT count(*) FROM secret_stops").await, 0);
    // A member who manages their own tokens cannot undo it.
    scene.change(memb, role(WorkspaceRole::Member)).await;
    let rules = domain::policy::PolicyRules { self_service: Some(true), ..Default::default() };
    let level = authority::PolicyLevel::Workspace(slug(HOME));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
    let enabled = world.authority.tokens().enable(&scene.later(memb), adding.token.id, None).await;
    assert_eq!(code(enabled), ProblemCode::Forbidden);
}

#[sqlx::test(migrations = false)]
async fn demoted_member_keeps_no_token_that_they_could_not_create_now(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { wanda, .. } = &scene;
    let token = scene.mint(wanda, "memb", "making", &["tokens:write"]).await;
    let adding = scene.mint(wanda, "memb", "adding", &["members:write"]).await;
    let patterns = |texts: &[&str]| MemberChange {
        grants: GrantsChange::Patterns(texts.iter().map(ToString::to_string).collect()),
        ..MemberChange::default()
    };
    assert_eq!(
        scene.change(wanda, patterns(&["rivers:*", "tessera/tokens:*", "members:write"])).await,
        0
    );
    assert_eq!(scene.change(wanda, patterns(&["rivers:*", "tokens:write"])).await, 1);
    assert_eq!((scene.decide(&token).await, scene.decide(&adding).await), (VALID, DISABLED));
    let keep = MemberChange { known_secrets: KnownSecrets::Keep, ..patterns(&["rivers:*"]) };
    assert_eq!(scene.change(wanda, keep).await, 0);
    assert_eq!(scene.decide(&token).await, VALID);
    // More grants change nothing about that token.
    assert_eq!(scene.change(wanda, patterns(&["rivers:*", "lakes:*"])).await, 0);
    assert_eq!(scene.change(wanda, role(WorkspaceRole::Viewer)).await, 1);
    assert_eq!(scene.decide(&token).await, DISABLED);
    let kept = scene.mint(&scene.memb, "friend", "kept", &["members:write"]).await;
    assert_eq!(scene.remove(&scene.memb, KnownSecrets::Keep).await, 0);
    assert_eq!(scene.decide(&kept).await, VALID);
}

#[sqlx::test(migrations = false)]
async fn many_known_tokens_are_disabled_in_portions_and_change_nothing_meanwhile(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, .. } = &scene;
    let row = |number: usize| {
        let digest = hex::encode(Sha256::digest(format!("known{number}")));
        format!(
            r#"{{"digest":"{digest}","name":"imported","grants":{{"tessera":["tokens:write"]}},"owner":"memb@example.com"}}"#
        )
    };
    let rows = (0..501).map(row).collect::<Vec<_>>().join("\n");
    let (transfer, home) = (world.authority.transfer(), slug(HOME));
    transfer
        .import(&scene.later(wanda), &home, Format::Jsonl, rows.as_bytes(), false)
        .await
        .unwrap();
    let token = scene.mint(wanda, "memb", "making", &["tokens:write", "members:write"]).await;
    let bearer = world.bearer(&token).await;
    // One of the tokens is locked. The removal itself does not wait for it.
    let mut busy = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM tokens WHERE id = $1 FOR NO KEY UPDATE")
        .bind(token.token.id.0)
        .execute(&mut *busy)
        .await
        .unwrap();
    let (core, by, user) = (world.authority.clone(), scene.later(ada), id(wanda));
    let removing =
        tokio::spawn(
            async move { core.workspaces().remove_member(&by, &slug(HOME), user, None).await },
        );
    let waits = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the removal to wait for the lock", async || {
        let waits = scene.count(waits).await != 0;
        assert!(waits || !removing.is_finished());
        waits
    })
    .await;
    let members = "SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id WHERE u.email LIKE 'wanda@%'";
    assert_eq!(scene.count(members).await, 0);
    let wish = TokenDraft { name: "escape".into(), ..draft(&["rivers:read"]) };
    let minted = world.authority.tokens().create(&bearer, &slug(HOME), wish).await;
    assert_eq!(code(minted), ProblemCode::Busy);
    let new =
        NewMember { user: "wanda@example.com".into(), role: WorkspaceRole::Admin, grants: None };
    let added = world.authority.workspaces().add_member(&bearer, &slug(HOME), new).await;
    assert_eq!(code(added), ProblemCode::Busy);
    // The server stops in the middle of that. Another one continues.
    removing.abort();
    removing.await.unwrap_err();
    busy.rollback().await.unwrap();
    assert_eq!(scene.count("SELECT count(*) FROM secret_stops").await, 1);
    world.execute("UPDATE secret_stops SET worked_until = now()").await;
    world.authority.disable_known_secrets().await.unwrap();
    assert_eq!(scene.count("SELECT count(*) FROM tokens WHERE enabled").await, 0);
    assert_eq!(scene.count("SELECT count(*) FROM secret_stops").await, 0);
    let noted =
        "SELECT count(*) FROM audit_events WHERE action = 'token.disable' AND actor_kind = 'user'";
    assert_eq!(scene.count(noted).await, 502);
}

#[sqlx::test(migrations = false)]
async fn tokens_known_to_others_are_disabled_before_their_user_gets_more_rights(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, friend } = &scene;
    let making = scene.mint(wanda, "friend", "making", &["tokens:write"]).await;
    let calling = scene.mint(wanda, "friend", "calling", &[]).await;
    let of_memb = scene.mint(memb, "friend", "of-memb", &["tokens:write"]).await;
    let of_ada = scene.mint(ada, "friend", "of-ada", &["tokens:write"]).await;
    scene.remove(wanda, KnownSecrets::Keep).await;
    // Wanda could no longer grant it, but Memb and Ada could.
    assert_eq!(scene.change(friend, role(WorkspaceRole::Admin)).await, 1);
    let found = [&making, &calling, &of_memb, &of_ada];
    for (token, expected) in found.into_iter().zip([DISABLED, VALID, VALID, VALID]) {
        assert_eq!(scene.decide(token).await, expected, "{}", token.token.name);
    }
    // A person who rejoins does not get such a token back either.
    scene.remove(friend, KnownSecrets::Keep).await;
    scene.remove(memb, KnownSecrets::Keep).await;
    let new =
        NewMember { user: "friend@example.com".into(), role: WorkspaceRole::Admin, grants: None };
    let added = world.authority.workspaces().add_member(&scene.later(ada), &slug(HOME), new).await;
    assert!(matches!(added.unwrap(), Added::Member(_)));
    for (token, expected) in found.into_iter().zip([DISABLED, VALID, DISABLED, VALID]) {
        assert_eq!(scene.decide(token).await, expected, "{}", token.token.name);
    }
}

/// Signs in to an account whose password another person chose, and changes the password.
async fn take_over(world: &World, email: &str, new: &str) -> OpContext {
    let session = sign_in(world, email, PASSWORD).await.unwrap();
    let change = PasswordChange {
        current: password(PASSWORD),
        new: password(new),
        known_browser: session.known_browser,
    };
    let found = world.authority.sessions().resolve(&world.anonymous(), &session.secret).await;
    let found = found.unwrap().unwrap();
    let session = Some(found.id);
    let mut ctx = world.context(found.actor());
    ctx.session = session;
    world.authority.passwords().change(&ctx, change).await.unwrap();
    world.context(Actor::User(sign_in(world, email, new).await.unwrap().visitor))
}

async fn sign_in(
    world: &World,
    email: &str,
    text: &str,
) -> Result<authority::SignedIn, ServiceError> {
    let sign_in = SignIn {
        email: email.into(),
        password: password(text),
        user_agent: None,
        known_browser: None,
    };
    world.authority.sessions().sign_in(&world.anonymous(), sign_in).await
}

async fn give(world: &World, by: &OpContext, name: &str, role: InstanceRole) -> UserId {
    let new = NewUser {
        kind: UserKind::Person,
        email: format!("{name}@example.com"),
        name: None,
        instance_role: role,
        password: Some(password(PASSWORD)),
    };
    world.authority.users().create(by, new).await.unwrap().summary.id
}

const NEW: &str = "tr0mbone ladder mist drums";

/// Adam, an administrator of the instance; Nina and Olga, whom he made administrators; and Mia,
/// a member.
struct Givers {
    world: World,
    ada: OpContext,
    adam: OpContext,
    nina: OpContext,
}

impl Givers {
    async fn new(pool: PgPool) -> Self {
        let world = World::founded(pool).await;
        let ada = world.owner().await;
        world.person("adam", None).await;
        world
            .execute("UPDATE users SET instance_role = 'admin' WHERE email = 'adam@example.com'")
            .await;
        let adam = world.signed_in("adam@example.com").await;
        give(&world, &adam, "nina", InstanceRole::Admin).await;
        let nina = take_over(&world, "nina@example.com", NEW).await;
        // Olga's password descends from Nina, whose account may be under Adam's control.
        give(&world, &nina, "olga", InstanceRole::Admin).await;
        take_over(&world, "olga@example.com", NEW).await;
        give(&world, &adam, "mia", InstanceRole::Member).await;
        take_over(&world, "mia@example.com", NEW).await;
        Self { world, ada, adam, nina }
    }

    async fn change(&self, by: &OpContext, change: UserChange) -> ChangedUser {
        self.world.pass(Duration::seconds(1));
        let mut by = by.clone();
        by.now = self.world.authority.now();
        self.world.authority.users().change(&by, id(&self.adam), change, None).await.unwrap()
    }

    async fn opens(&self, name: &str) -> bool {
        sign_in(&self.world, &format!("{name}@example.com"), NEW).await.is_ok()
    }

    async fn doubts(&self) -> Vec<(String, PasswordDoubt)> {
        let operator = self.world.operator();
        let found = self.world.authority.users().doubtful_passwords(&operator).await.unwrap();
        let known = found.into_iter().filter(|one| one.doubt != PasswordDoubt::Unknown);
        known.map(|one| (one.email, one.doubt)).collect()
    }
}

#[sqlx::test(migrations = false)]
async fn passwords_of_administrators_expire_with_the_rights_of_their_setter(pool: PgPool) {
    let scene = Givers::new(pool).await;
    let Givers { world, ada, nina, .. } = &scene;
    let audiences = vec!["tessera".to_owned()];
    let wish = TokenDraft { audiences, ..draft(&["tokens:write"]) };
    let token = world.mint(nina, HOME, wish).await;
    let change = instance_role(InstanceRole::Member);
    let changed = scene.change(ada, change).await;
    let mut ended = changed.ended_passwords.clone();
    ended.sort();
    assert_eq!(ended, ["nina@example.com", "olga@example.com"]);
    assert_eq!(changed.disabled_tokens, 1);
    assert_eq!(world.decide(token.secret.expose(), &Demand::default()).await, DISABLED);
    assert!(!scene.opens("nina").await && !scene.opens("olga").await && scene.opens("mia").await);
    let session = "SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email IN ('nina@example.com', 'olga@example.com')";
    let sessions: i64 = sqlx::query_scalar(session).fetch_one(&world.pool).await.unwrap();
    assert_eq!(sessions, 0);
    let noted: serde_json::Value = sqlx::query_scalar(
        "SELECT after->'ended_passwords' FROM audit_events WHERE action = 'user.change' ORDER BY id DESC LIMIT 1",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(noted, serde_json::json!(changed.ended_passwords));
    assert_eq!(scene.doubts().await, [("mia@example.com".into(), PasswordDoubt::OfMember)]);
}

#[sqlx::test(migrations = false)]
async fn inherited_passwords_are_kept_on_request_and_doctor_reports_them(pool: PgPool) {
    let scene = Givers::new(pool).await;
    let known_secrets = KnownSecrets::Keep;
    let change = UserChange { known_secrets, enabled: Some(false), ..UserChange::default() };
    let changed = scene.change(&scene.ada, change).await;
    assert_eq!((changed.ended_passwords, changed.disabled_tokens), (vec![], 0));
    assert!(scene.opens("nina").await && scene.opens("olga").await);
    let expected = [
        ("mia@example.com".into(), PasswordDoubt::OfMember),
        ("nina@example.com".into(), PasswordDoubt::OfManager),
    ];
    assert_eq!(scene.doubts().await, expected);
}

#[sqlx::test(migrations = false)]
async fn password_of_the_caller_stays_valid(pool: PgPool) {
    let scene = Givers::new(pool).await;
    let Givers { world, nina, adam, .. } = &scene;
    let removed = world.authority.users().remove(nina, id(adam), None).await.unwrap();
    assert_eq!(removed.ended_passwords, [""; 0]);
    assert!(scene.opens("nina").await && scene.opens("olga").await);
    // Another administrator removes Nina, which expires Olga's password.
    let removed = world.authority.users().remove(&scene.ada, id(nina), None).await.unwrap();
    assert_eq!(removed.ended_passwords, ["olga@example.com"]);
    assert!(!scene.opens("olga").await);
}

#[sqlx::test(migrations = false)]
async fn disabled_or_demoted_user_keeps_no_access_to_any_workspace(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, .. } = &scene;
    world.workspace("other").await;
    for email in ["wanda@example.com", "memb@example.com"] {
        world.join(email, "other", "admin").await;
    }
    let wish = |name: &str, scope: &str| TokenDraft {
        name: name.into(),
        user: Some("memb@example.com".into()),
        audiences: vec!["tessera".into()],
        ..draft(&[scope])
    };
    let one = world.mint(&scene.later(wanda), HOME, wish("one", "tokens:write")).await;
    let other = world.mint(&scene.later(wanda), "other", wish("other", "members:write")).await;
    let verifying = world.mint(&scene.later(wanda), "other", wish("verifying", "verify")).await;
    let off =
        |known_secrets| UserChange { enabled: Some(false), known_secrets, ..UserChange::default() };
    let on = UserChange { enabled: Some(true), ..UserChange::default() };
    let users = world.authority.users();
    let kept =
        users.change(&scene.later(ada), id(wanda), off(KnownSecrets::Keep), None).await.unwrap();
    assert_eq!(kept.disabled_tokens, 0);
    users.change(&scene.later(ada), id(wanda), on, None).await.unwrap();
    let changed =
        users.change(&scene.later(ada), id(wanda), off(KnownSecrets::Disable), None).await.unwrap();
    assert_eq!(changed.disabled_tokens, 2);
    assert_eq!(scene.decide(&one).await, DISABLED);
    assert_eq!(scene.decide(&other).await, DISABLED);
    assert_eq!(scene.decide(&verifying).await, VALID);
    // Demoted on the instance. Tokens that an administrator of the workspace could still
    // create stay.
    world.execute("UPDATE users SET instance_role = 'admin' WHERE email LIKE 'memb@%'").await;
    let adam = world.signed_in("memb@example.com").await;
    let to_friend = |name: &str| TokenDraft {
        user: Some("friend@example.com".into()),
        ..wish(name, "tokens:write")
    };
    world.join("friend@example.com", "other", "viewer").await;
    world.execute("DELETE FROM memberships m USING users u, workspaces w WHERE u.id = m.user_id AND w.id = m.workspace_id AND w.slug = 'other' AND u.email LIKE 'memb@%'").await;
    let stays = world.mint(&scene.later(&adam), HOME, to_friend("stays")).await;
    let ends = world.mint(&scene.later(&adam), "other", to_friend("ends")).await;
    // It verifies the tokens of all workspaces.
    let as_owner = TokenDraft { user: Some(OWNER.into()), ..wish("as owner", "verify") };
    let everywhere = world.mint(&scene.later(&adam), HOME, as_owner).await;
    let change = instance_role(InstanceRole::Member);
    let changed = users.change(&scene.later(ada), id(memb), change, None).await.unwrap();
    assert_eq!(changed.disabled_tokens, 2);
    assert_eq!(scene.decide(&everywhere).await, DISABLED);
    assert_eq!((scene.decide(&stays).await, scene.decide(&ends).await), (VALID, DISABLED));
}

/// A server that continues a secret stop does not give up at the first busy workspace.
#[sqlx::test(migrations = false)]
async fn busy_workspace_does_not_delay_the_disabling_of_tokens_elsewhere(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, wanda, .. } = &scene;
    world.workspace("other").await;
    for email in ["wanda@example.com", "memb@example.com"] {
        world.join(email, "other", "admin").await;
    }
    let wish = TokenDraft {
        user: Some("memb@example.com".into()),
        audiences: vec!["tessera".into()],
        ..draft(&["tokens:write"])
    };
    for workspace in [HOME, "other"] {
        world.mint(&scene.later(wanda), workspace, wish.clone()).await;
    }
    world
        .execute(
            "WITH gone AS (UPDATE users SET enabled = false WHERE email = 'wanda@example.com' RETURNING id)
             INSERT INTO secret_stops (id, known_to, author, worked_until)
             SELECT gen_random_uuid(), id, '{\"kind\": \"operator\", \"id\": null, \"name\": \"command line\",
                    \"surface\": \"cli\", \"client_ip\": null, \"request_id\": \"r\"}', now() FROM gone",
        )
        .await;
    let mut busy = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM tokens WHERE workspace_id = (SELECT min(workspace_id::text)::uuid FROM tokens) FOR UPDATE")
        .execute(&mut *busy)
        .await
        .unwrap();
    world.authority.disable_known_secrets().await.unwrap();
    let disabled = "SELECT count(*) FROM tokens WHERE NOT enabled";
    let count = || sqlx::query_scalar::<_, i64>(disabled).fetch_one(&world.pool);
    assert_eq!(count().await.unwrap(), 1);
    // The secret stop stays for the other workspace.
    busy.rollback().await.unwrap();
    world.execute("UPDATE secret_stops SET worked_until = now()").await;
    world.authority.disable_known_secrets().await.unwrap();
    assert_eq!(count().await.unwrap(), 2);
}

#[sqlx::test(migrations = false)]
async fn leaving_person_cannot_keep_known_secrets_valid(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, wanda, memb, .. } = &scene;
    let workspaces = world.authority.workspaces();
    let known = scene.mint(wanda, "memb", "known", &["tokens:write"]).await;
    let own = scene.mint(wanda, "wanda", "own", &["members:write"]).await;
    let bearer = world.bearer(&own).await;
    let keep = MemberChange {
        known_secrets: KnownSecrets::Keep,
        role: Some(WorkspaceRole::Viewer),
        ..MemberChange::default()
    };
    for by in [wanda, &bearer] {
        let left = workspaces
            .remove_member_and(&scene.later(by), &slug(HOME), id(wanda), None, KnownSecrets::Keep)
            .await;
        let left = left.unwrap_err();
        assert_eq!(left.code(), ProblemCode::ValidationFailed);
        assert!(format!("{left:?}").contains("known_secrets"), "{left:?}");
        let changed = workspaces
            .change_member(&scene.later(by), &slug(HOME), id(wanda), keep.clone(), None)
            .await;
        assert_eq!(code(changed), ProblemCode::ValidationFailed);
    }
    // A token of hers that acts as another user cannot choose this either.
    let of_memb = scene.mint(wanda, "memb", "of-memb", &["members:write"]).await;
    let by = world.bearer(&of_memb).await;
    let refused = workspaces
        .remove_member_and(&scene.later(&by), &slug(HOME), id(wanda), None, KnownSecrets::Keep)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), ProblemCode::ValidationFailed);
    assert!(format!("{refused:?}").contains("a token cannot keep the tokens"), "{refused:?}");
    let refused = workspaces
        .change_member(&scene.later(&by), &slug(HOME), id(wanda), keep.clone(), None)
        .await;
    assert_eq!(code(refused), ProblemCode::ValidationFailed);
    world.authority.tokens().delete(&scene.later(memb), of_memb.token.id, None).await.unwrap();
    // Another person may choose to keep the tokens, and so may a person who loses nothing.
    scene.change(wanda, keep.clone()).await;
    scene.change(wanda, role(WorkspaceRole::Admin)).await;
    let same = MemberChange { role: Some(WorkspaceRole::Admin), ..keep };
    workspaces
        .change_member(&scene.later(wanda), &slug(HOME), id(wanda), same, None)
        .await
        .unwrap();
    let left = workspaces.remove_member(&scene.later(wanda), &slug(HOME), id(wanda), None).await;
    assert_eq!(left.unwrap().disabled_tokens, 1);
    assert_eq!(scene.decide(&known).await, DISABLED);

    world.execute("UPDATE users SET instance_role = 'admin' WHERE email LIKE 'memb@%'").await;
    let adam = world.signed_in("memb@example.com").await;
    let users = world.authority.users();
    let off = UserChange {
        enabled: Some(false),
        known_secrets: KnownSecrets::Keep,
        ..UserChange::default()
    };
    let changed = users.change(&adam, id(memb), off, None).await;
    assert_eq!(code(changed), ProblemCode::ValidationFailed);
    let removed = users.remove_and(&adam, id(memb), None, KnownSecrets::Keep).await;
    assert_eq!(code(removed), ProblemCode::ValidationFailed);
}

/// An administrator later disables tokens that another one kept.
#[sqlx::test(migrations = false)]
async fn kept_secrets_are_disabled_when_the_person_is_removed_again(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, .. } = &scene;
    let first = scene.mint(wanda, "memb", "first", &["members:write"]).await;
    scene.remove(wanda, KnownSecrets::Keep).await;
    assert_eq!(scene.decide(&first).await, DecisionCode::Valid);
    let workspaces = world.authority.workspaces();
    let again = async |known| {
        let by = scene.later(ada);
        workspaces.remove_member_and(&by, &slug(HOME), id(wanda), None, known).await
    };
    assert_eq!(code(again(KnownSecrets::Keep).await), ProblemCode::NotFound);
    assert_eq!(scene.decide(&first).await, DecisionCode::Valid);
    assert_eq!(code(again(KnownSecrets::Disable).await), ProblemCode::NotFound);
    assert_eq!(scene.decide(&first).await, DISABLED);

    let second = scene.mint(memb, "friend", "second", &["members:write"]).await;
    let users = world.authority.users();
    let removed = users.remove_and(&scene.later(ada), id(memb), None, KnownSecrets::Keep).await;
    assert_eq!(removed.unwrap().disabled_tokens, 0);
    assert_eq!(scene.decide(&second).await, DecisionCode::Valid);
    assert_eq!(code(users.remove(&scene.later(ada), id(memb), None).await), ProblemCode::NotFound);
    assert_eq!(scene.decide(&second).await, DISABLED);
    assert_eq!(scene.count("SELECT count(*) FROM secret_stops").await, 0);
}

/// A client keeps creating tokens that act as a member to whom the administrator gave a password.
#[sqlx::test(migrations = false)]
async fn administrator_is_removed_while_a_member_with_their_password_is_busy(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, friend, .. } = &scene;
    world.execute("UPDATE users SET instance_role = 'admin' WHERE email ~ '^(wanda|memb)@'").await;
    // Memb's password is also from Wanda and, because Memb manages the instance, is expired.
    let given = "UPDATE users SET password_set_by = (SELECT id FROM users WHERE email ~ '^wanda@')
                  WHERE email ~ '^(memb|friend)@'";
    world.execute(given).await;
    let mut busy = world.pool.begin().await.unwrap();
    let keep = "SELECT FROM users WHERE id = $1 FOR SHARE";
    sqlx::query(keep).bind(id(friend).0).execute(&mut *busy).await.unwrap();
    let users = world.authority.users();
    let member = UserChange { instance_role: Some(InstanceRole::Member), ..UserChange::default() };
    let changed = users.change(&scene.later(ada), id(wanda), member, None).await.unwrap();
    assert_eq!(changed.ended_passwords, ["memb@example.com"]);
    users.remove(&scene.later(ada), id(wanda), None).await.unwrap();
    busy.rollback().await.unwrap();
}

/// What a person knows about a member's token does not hide why a request is refused.
#[sqlx::test(migrations = false)]
async fn existing_member_and_stale_versions_are_refused_with_their_own_errors(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, friend } = &scene;
    scene.mint(memb, "friend", "lurking", &["tokens:write"]).await;
    let keep = KnownSecrets::Keep;
    scene.change(memb, MemberChange { known_secrets: keep, ..role(WorkspaceRole::Viewer) }).await;
    let workspaces = world.authority.workspaces();
    let new =
        NewMember { user: "friend@example.com".into(), role: WorkspaceRole::Admin, grants: None };
    let added = workspaces.add_member(&scene.later(ada), &slug(HOME), new).await;
    assert_eq!(code(added), ProblemCode::AlreadyExists);
    let changed = workspaces
        .change_member(
            &scene.later(wanda),
            &slug(HOME),
            id(friend),
            role(WorkspaceRole::Admin),
            Some(i64::MAX),
        )
        .await;
    assert_eq!(code(changed), ProblemCode::PreconditionFailed);
}

/// The token is disabled, and may be enabled again, but its invitations stay invalid.
#[sqlx::test(migrations = false)]
async fn invitations_of_a_known_token_expire_with_it(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, wanda, memb, .. } = &scene;
    let token = scene.mint(memb, "memb", "inviting", &["members:write", "tokens:write"]).await;
    let wish = RotationDraft { grace_s: Some(0), ..RotationDraft::default() };
    let tokens = world.authority.tokens();
    let rotated = tokens.rotate(&scene.later(wanda), token.token.id, None, wish).await.unwrap();
    let bearer = world.bearer(&rotated).await;
    let new = NewMember {
        user: "grace@example.com".into(),
        role: WorkspaceRole::Member,
        grants: Some(vec!["default/rivers:read".into()]),
    };
    world.authority.workspaces().add_member(&bearer, &slug(HOME), new).await.unwrap();
    assert_eq!(scene.remove(wanda, KnownSecrets::Disable).await, 1);
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM invitations WHERE revoked_at IS NULL AND accepted_at IS NULL AND expires_at > $1",
    )
    .bind(world.authority.now())
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(open, 0);
}

/// The new member's membership is removed between the start of the request and its turn.
#[sqlx::test(migrations = false)]
async fn member_who_is_removed_meanwhile_is_not_added_back_with_known_tokens(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, memb, friend, .. } = &scene;
    let token = scene.mint(memb, "friend", "lurking", &["tokens:write"]).await;
    scene
        .change(
            memb,
            MemberChange { known_secrets: KnownSecrets::Keep, ..role(WorkspaceRole::Viewer) },
        )
        .await;
    let mut busy = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM workspaces FOR NO KEY UPDATE").execute(&mut *busy).await.unwrap();
    let (core, by) = (world.authority.clone(), scene.later(ada));
    let new = || NewMember {
        user: "friend@example.com".into(),
        role: WorkspaceRole::Admin,
        grants: None,
    };
    let wish = new();
    let adding = tokio::spawn(async move {
        core.workspaces().add_member(&by, &slug(HOME), wish).await.map(drop)
    });
    let waits = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the addition to wait for the lock", async || {
        let waits = scene.count(waits).await != 0;
        assert!(waits || !adding.is_finished());
        waits
    })
    .await;
    sqlx::query("DELETE FROM memberships WHERE user_id = $1")
        .bind(id(friend).0)
        .execute(&mut *busy)
        .await
        .unwrap();
    busy.commit().await.unwrap();
    assert_eq!(code(adding.await.unwrap()), ProblemCode::Busy);
    world.authority.workspaces().add_member(&scene.later(ada), &slug(HOME), new()).await.unwrap();
    assert_eq!(scene.decide(&token).await, DISABLED);
}

/// A member may put scopes on their own tokens that have no effect for a member.
#[sqlx::test(migrations = false)]
async fn token_of_a_member_is_handed_to_an_administrator_only_after_a_rotation(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, wanda, memb, .. } = &scene;
    let rules = domain::policy::PolicyRules { self_service: Some(true), ..Default::default() };
    let level = authority::PolicyLevel::Workspace(slug(HOME));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
    scene.change(memb, role(WorkspaceRole::Member)).await;
    for (name, scopes) in [
        ("members", &["members:write"][..]),
        ("policy", &["policy:write"]),
        ("both", &["members:write", "policy:write"]),
    ] {
        let token = scene.mint(memb, "memb", name, scopes).await;
        for by in [ada, wanda] {
            let refused = scene.hand_over(by, &token, "wanda").await;
            assert_eq!(code(refused), ProblemCode::ValidationFailed, "{name}");
        }
        scene.rotate(ada, &token).await;
        scene.hand_over(ada, &token, "wanda").await.unwrap();
    }
}

/// Transactions that lock several people lock them in the order of their ids.
#[sqlx::test(migrations = false)]
async fn people_whose_passwords_expire_are_locked_in_one_order(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let Scene { world, ada, .. } = &scene;
    let (giver, given) = (world.person("rogue-admin", None).await, world.person("al", None).await);
    assert!(id(&given).0 < id(&giver).0);
    world
        .execute(
            "UPDATE users u SET instance_role = 'admin', password_set_by = CASE u.name WHEN 'al' THEN g.id END
               FROM users g WHERE g.name = 'rogue-admin' AND u.name IN ('al', 'rogue-admin')",
        )
        .await;
    let mut keeps = world.pool.begin().await.unwrap();
    let keep = "SELECT FROM users WHERE id = $1 FOR SHARE NOWAIT";
    sqlx::query(keep).bind(id(&given).0).execute(&mut *keeps).await.unwrap();
    let (core, by, user) = (world.authority.clone(), scene.later(ada), id(&giver));
    let removing = tokio::spawn(async move { core.users().remove(&by, user, None).await });
    let waits = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the removal to wait for the lock", async || {
        let waits = scene.count(waits).await != 0;
        assert!(waits || !removing.is_finished());
        waits
    })
    .await;
    sqlx::query(keep).bind(id(&giver).0).execute(&mut *keeps).await.unwrap();
    keeps.commit().await.unwrap();
    assert_eq!(removing.await.unwrap().unwrap().ended_passwords, ["al@example.com"]);
}
