//! Several servers on one database: a change that one of them has answered applies to all of them.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{sync::Arc, time::Duration};

use crate::support::{World, draft, rounds, slug, until};
use authority::{
    Actor, Authority, Drill, MintedToken, OpContext, Presented, Settings, Surface, TokenPatch,
    clock::SystemClock, entropy::SystemEntropy, keys::Keys,
};
use domain::decision::{DecisionCode, Demand};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::task::JoinHandle;

const BOT: &str = "bot@example.com";

/// A separate server on a shared database.
struct Server {
    authority: Authority,
    follows: JoinHandle<()>,
}

impl Server {
    fn start(pool: &PgPool, keys: &str, settings: Settings) -> Self {
        let options = pool.connect_options().as_ref().clone();
        let pool =
            sqlx::postgres::PgPoolOptions::new().max_connections(3).connect_lazy_with(options);
        let authority = Authority::new(
            pool,
            Keys::from_toml(keys).unwrap(),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
            settings,
        );
        let follows = tokio::spawn(authority.clone().run_replica("test".into(), "0"));
        Self { authority, follows }
    }

    fn operator(&self) -> OpContext {
        self.authority.context(Actor::Operator, Surface::Cli, "test".into(), None)
    }

    /// Creates a token on this server.
    async fn token(&self) -> MintedToken {
        let draft = maker(&["rivers:read"]);
        let (tokens, workspace) = (self.authority.tokens(), slug("workspace-1"));
        tokens.create(&self.operator(), &workspace, draft).await.unwrap()
    }

    /// Creates a service account that is a member of the workspace.
    async fn bot(&self) -> domain::ids::UserId {
        let bot = authority::NewUser {
            email: BOT.into(),
            name: None,
            kind: domain::roles::UserKind::Service,
            instance_role: domain::roles::InstanceRole::Member,
            password: None,
        };
        let user = self.authority.users().create(&self.operator(), bot).await.unwrap();
        self.admit_bot().await;
        user.summary.id
    }

    async fn admit_bot(&self) {
        let role = domain::roles::WorkspaceRole::Member;
        let member = authority::NewMember { user: BOT.into(), role, grants: None };
        let (workspaces, workspace) = (self.authority.workspaces(), slug("workspace-1"));
        workspaces.add_member(&self.operator(), &workspace, member).await.unwrap();
    }

    async fn token_of_bot(&self) -> MintedToken {
        let mut draft = maker(&["rivers:read"]);
        draft.user = Some(BOT.into());
        let (tokens, workspace) = (self.authority.tokens(), slug("workspace-1"));
        tokens.create(&self.operator(), &workspace, draft).await.unwrap()
    }

    async fn decide(&self, text: &str) -> DecisionCode {
        self.judge(text, &Demand::default()).await
    }

    async fn judge(&self, text: &str, demand: &Demand) -> DecisionCode {
        let ctx = self.authority.context(Actor::Anonymous, Surface::Rest, "test".into(), None);
        self.authority.verification().decide(&ctx, text, demand).await.unwrap().code
    }

    /// Checks whether the token is answered from memory.
    fn is_remembered(&self, text: &str) -> bool {
        let now = self.authority.now();
        let at = Presented { now, ip: None, agent: None, learned: false };
        let verification = self.authority.verification();
        verification.decide_remembered(text, &Demand::default(), at).is_some()
    }

    /// Verifies until the token is answered from memory.
    async fn remembers(&self, text: &str) {
        until("an answer from memory", async || {
            let is_remembered = self.is_remembered(text);
            if !is_remembered {
                assert_eq!(self.decide(text).await, DecisionCode::Valid);
            }
            is_remembered
        })
        .await;
    }

    /// Simulates a suspended process: it does nothing, and its row stays.
    async fn freeze(&mut self) {
        self.follows.abort();
        let _ = (&mut self.follows).await;
    }
}

async fn keys(pool: &PgPool) -> String {
    let keys = Keys::generate(&SystemEntropy);
    let text = keys.to_toml().expose_secret().to_owned();
    let world = World::with_keys(pool.clone(), keys).await;
    drop(world);
    text
}

#[sqlx::test(migrations = false)]
async fn change_that_narrows_at_one_server_holds_at_every_other(pool: PgPool) {
    let keys = keys(&pool).await;
    let a = Server::start(&pool, &keys, Settings::default());
    let b = Server::start(&pool, &keys, Settings::default());
    for round in 0..rounds(20) {
        let minted = b.token().await;
        let (id, text) = (minted.token.id, minted.secret.expose().to_owned());
        a.remembers(&text).await;
        b.remembers(&text).await;
        let (here, there) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        if round % 3 == 0 {
            here.authority.tokens().delete(&here.operator(), id, None).await.unwrap();
        } else {
            here.authority.tokens().disable(&here.operator(), id, None).await.unwrap();
        }
        assert_ne!(there.decide(&text).await, DecisionCode::Valid, "round {round}");
        assert_ne!(here.decide(&text).await, DecisionCode::Valid, "round {round}");
    }
}

#[sqlx::test(migrations = false)]
async fn server_without_notifications_learns_from_its_renewal(pool: PgPool) {
    let keys = keys(&pool).await;
    let deaf = Settings {
        drill: Drill { without_notify: true, ..Drill::default() },
        ..Settings::default()
    };
    let a = Server::start(&pool, &keys, deaf);
    let b = Server::start(&pool, &keys, Settings::default());
    let minted = b.token().await;
    a.remembers(minted.secret.expose()).await;
    b.authority.tokens().disable(&b.operator(), minted.token.id, None).await.unwrap();
    assert_eq!(a.decide(minted.secret.expose()).await, DecisionCode::Disabled);
}

#[sqlx::test(migrations = false)]
async fn server_that_is_suspended_is_waited_for_until_its_lease_expires(pool: PgPool) {
    let keys = keys(&pool).await;
    let mut a = Server::start(&pool, &keys, Settings::default());
    let b = Server::start(&pool, &keys, Settings::default());
    let minted = b.token().await;
    a.remembers(minted.secret.expose()).await;
    a.freeze().await;
    b.authority.tokens().disable(&b.operator(), minted.token.id, None).await.unwrap();
    assert_eq!(a.decide(minted.secret.expose()).await, DecisionCode::Disabled);
    assert!(!a.is_remembered(minted.secret.expose()));
}

/// Without this test, the previous two could pass by luck.
#[sqlx::test(migrations = false)]
async fn server_whose_lease_never_expires_is_stale(pool: PgPool) {
    let keys = keys(&pool).await;
    let endless = Settings {
        drill: Drill { without_lease: true, ..Drill::default() },
        ..Settings::default()
    };
    let mut a = Server::start(&pool, &keys, endless);
    let b = Server::start(&pool, &keys, Settings::default());
    let minted = b.token().await;
    a.remembers(minted.secret.expose()).await;
    a.freeze().await;
    b.authority.tokens().disable(&b.operator(), minted.token.id, None).await.unwrap();
    assert_eq!(a.decide(minted.secret.expose()).await, DecisionCode::Valid);
}

/// A widening change applies at once on the server that made it, and a token that was unknown a
/// moment ago is known once it is created.
#[sqlx::test(migrations = false)]
async fn change_that_widens_holds_immediately_where_it_was_made(pool: PgPool) {
    let keys = keys(&pool).await;
    let a = Server::start(&pool, &keys, Settings::default());
    let minted = a.token().await;
    let (id, text) = (minted.token.id, minted.secret.expose());
    a.remembers(text).await;
    for _ in 0..3 {
        a.authority.tokens().disable(&a.operator(), id, None).await.unwrap();
        assert_eq!(a.decide(text).await, DecisionCode::Disabled);
        a.authority.tokens().enable(&a.operator(), id, None).await.unwrap();
        assert_eq!(a.decide(text).await, DecisionCode::Valid);
    }
}

/// Covers every kind of narrowing change, not only those of the token itself.
#[sqlx::test(migrations = false)]
async fn every_change_that_narrows_evicts_cached_facts(pool: PgPool) {
    let keys = keys(&pool).await;
    let a = Server::start(&pool, &keys, Settings::default());
    let b = Server::start(&pool, &keys, Settings::default());
    let workspace = slug("workspace-1");
    let user = b.bot().await;
    let minted = b.token_of_bot().await;
    // Tokens of the same user that the other server has not verified, although it has cached
    // their user.
    let (unseen, unseen_either) = (b.token_of_bot().await, b.token_of_bot().await);
    let text = minted.secret.expose();
    a.remembers(text).await;
    let off = authority::UserChange { enabled: Some(false), ..Default::default() };
    let on = authority::UserChange { enabled: Some(true), ..Default::default() };
    b.authority.users().change(&b.operator(), user, off, None).await.unwrap();
    assert_eq!(a.decide(unseen.secret.expose()).await, DecisionCode::OwnerDisabled);
    assert_eq!(a.decide(text).await, DecisionCode::OwnerDisabled);
    b.authority.users().change(&b.operator(), user, on, None).await.unwrap();
    a.remembers(text).await;
    b.authority.workspaces().remove_member(&b.operator(), &workspace, user, None).await.unwrap();
    assert_eq!(a.decide(unseen_either.secret.expose()).await, DecisionCode::OwnerDisabled);
    assert_eq!(a.decide(text).await, DecisionCode::OwnerDisabled);
    b.admit_bot().await;
    a.remembers(text).await;
    let rotated = b
        .authority
        .tokens()
        .rotate(&b.operator(), minted.token.id, None, authority::RotationDraft::default())
        .await
        .unwrap();
    assert_eq!(a.decide(text).await, DecisionCode::Expired);
    a.remembers(rotated.secret.expose()).await;
    let audience = "default".parse().unwrap();
    b.authority.catalogues().delete_audience(&b.operator(), &audience, None).await.unwrap_err();
    b.authority.tokens().expire(&b.operator(), minted.token.id, None).await.unwrap();
    assert_eq!(a.decide(rotated.secret.expose()).await, DecisionCode::Expired);
}

/// The scopes that a user may hold depend on their risk in the catalogue.
#[sqlx::test(migrations = false)]
async fn scope_with_a_higher_risk_is_taken_from_callers_who_may_only_read(pool: PgPool) {
    let keys = keys(&pool).await;
    let a = Server::start(&pool, &keys, Settings::default());
    let b = Server::start(&pool, &keys, Settings::default());
    let user = b.bot().await;
    let (seen, unseen) = (b.token_of_bot().await, b.token_of_bot().await);
    let reader = authority::MemberChange {
        role: Some(domain::roles::WorkspaceRole::Viewer),
        ..Default::default()
    };
    let workspaces = b.authority.workspaces();
    workspaces
        .change_member(&b.operator(), &slug("workspace-1"), user, reader, None)
        .await
        .unwrap();
    a.remembers(seen.secret.expose()).await;
    let scope: domain::catalogue::ScopeName = "rivers:read".parse().unwrap();
    let read = Demand { scopes: vec![scope.clone()], ..Demand::default() };
    assert_eq!(a.judge(seen.secret.expose(), &read).await, DecisionCode::Valid);
    let risk = Some(domain::catalogue::Risk::Write);
    let change = authority::ScopeChange { risk, ..Default::default() };
    let audience = "default".parse().unwrap();
    let catalogues = b.authority.catalogues();
    catalogues.change_scope(&b.operator(), &audience, &scope, change, None).await.unwrap();
    for minted in [&unseen, &seen] {
        let code = a.judge(minted.secret.expose(), &read).await;
        assert_eq!(code, DecisionCode::InsufficientScope);
    }
}

/// Cached facts of a token's user count only with a lease.
#[sqlx::test(migrations = false)]
async fn server_without_lease_queries_all_facts_of_a_token(pool: PgPool) {
    let keys = keys(&pool).await;
    let mut a = Server::start(&pool, &keys, Settings::default());
    let b = Server::start(&pool, &keys, Settings::default());
    let user = b.bot().await;
    let (seen, unseen) = (b.token_of_bot().await, b.token_of_bot().await);
    a.remembers(seen.secret.expose()).await;
    a.freeze().await;
    let off = authority::UserChange { enabled: Some(false), ..Default::default() };
    b.authority.users().change(&b.operator(), user, off, None).await.unwrap();
    assert_eq!(a.decide(unseen.secret.expose()).await, DecisionCode::OwnerDisabled);
}

/// Without a lease and a database, no token passes, unless the operator has configured a grace
/// period, which is reported.
#[sqlx::test(migrations = false)]
async fn tokens_pass_without_lease_and_database_only_in_a_reported_grace(pool: PgPool) {
    let keys = keys(&pool).await;
    for grace in [Duration::ZERO, Duration::from_mins(1)] {
        let settings = Settings { stale_grace: grace, ..Settings::default() };
        let mut server = Server::start(&pool, &keys, settings);
        let minted = server.token().await;
        let text = minted.secret.expose();
        server.remembers(text).await;
        server.freeze().await;
        server.authority.close().await;
        let ctx = server.authority.context(Actor::Anonymous, Surface::Rest, "test".into(), None);
        let verification = server.authority.verification();
        let demand = Demand::default();
        // As long as the lease is valid, the database is not queried.
        until("the end of the lease", async || {
            let decided = verification.decide(&ctx, text, &demand).await;
            let is_remembered = server.is_remembered(text);
            if is_remembered {
                assert_eq!(decided.unwrap().code, DecisionCode::Valid);
            }
            !is_remembered
        })
        .await;
        let decided = verification.decide(&ctx, text, &demand).await;
        if grace.is_zero() {
            assert!(matches!(decided, Err(authority::ServiceError::Unavailable(_))));
        } else {
            let decided = decided.unwrap();
            assert_eq!(decided.code, DecisionCode::Valid);
            assert!(decided.stale.is_some());
        }
    }
}

/// A database that answers reads but accepts no writes may be a replaced primary. It counts as
/// unavailable, and the grace period applies. A server that reconnects to it repeatedly
/// forgets nothing.
#[sqlx::test(migrations = false)]
async fn read_only_database_counts_as_unavailable_and_the_grace_applies(pool: PgPool) {
    let keys = keys(&pool).await;
    let with = |stale_grace| Settings { stale_grace, ..Settings::default() };
    let strict = Server::start(&pool, &keys, with(Duration::ZERO));
    let lenient = Server::start(&pool, &keys, with(Duration::from_mins(10)));
    let minted = strict.token().await;
    let text = minted.secret.expose();
    strict.remembers(text).await;
    lenient.remembers(text).await;

    // Writes to the table wait, as they all do if a synchronous standby is unavailable. Reads
    // still work.
    let mut block = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE replicas IN EXCLUSIVE MODE").execute(&mut *block).await.unwrap();
    let decided = async |server: &Server| {
        let ctx = server.authority.context(Actor::Anonymous, Surface::Rest, "test".into(), None);
        server.authority.verification().decide(&ctx, text, &Demand::default()).await
    };
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    let refused = loop {
        assert!(tokio::time::Instant::now() < deadline, "the server answers without a lease");
        if let Err(error) = decided(&strict).await {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(matches!(refused, authority::ServiceError::Unavailable(_)), "{refused:?}");
    // Each failed renewal is followed by a new connection.
    let several = Duration::from_secs(4);
    while lenient.authority.observe().lease_age.is_some_and(|age| age < several) {
        assert!(tokio::time::Instant::now() < deadline, "the lease is renewed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..20 {
        let decided = decided(&lenient).await.unwrap();
        assert_eq!(decided.code, DecisionCode::Valid);
        assert!(decided.stale.is_some(), "{decided:?}");
    }

    // Once writes succeed again, memory is no longer used.
    sqlx::query("UPDATE tokens SET enabled = false").execute(&pool).await.unwrap();
    block.rollback().await.unwrap();
    loop {
        assert!(tokio::time::Instant::now() < deadline, "facts cached before the failure are used");
        let decided = decided(&lenient).await.unwrap();
        if decided.code == DecisionCode::Disabled {
            assert_eq!(decided.stale, None);
            break;
        }
        assert!(decided.stale.is_some(), "{decided:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A change that finds nothing to do is answered only once the change that did it could
/// be answered.
#[sqlx::test(migrations = false)]
async fn change_without_effect_waits_for_the_change_that_preceded_it(pool: PgPool) {
    let keys = keys(&pool).await;
    let mut a = Server::start(&pool, &keys, Settings::default());
    let b = Server::start(&pool, &keys, Settings::default());
    let minted = b.token().await;
    let (id, text) = (minted.token.id, minted.secret.expose());
    a.remembers(text).await;
    a.freeze().await;
    // The first change waits for the suspended server. Its caller has disconnected by then.
    let (tokens, ctx) = (b.authority.tokens(), b.operator());
    let first = tokio::time::timeout(Duration::from_millis(200), tokens.disable(&ctx, id, None));
    let _ = first.await;
    tokens.disable(&ctx, id, None).await.unwrap();
    assert_eq!(a.decide(text).await, DecisionCode::Disabled);
}

/// A removal that finds nothing to remove is answered only once the removal itself could be.
#[sqlx::test(migrations = false)]
async fn removal_without_effect_waits_for_the_removal_that_preceded_it(pool: PgPool) {
    let keys = keys(&pool).await;
    let workspace = slug("workspace-1");
    let mut bot = None;
    for what in ["token", "member", "user"] {
        let mut a = Server::start(&pool, &keys, Settings::default());
        let b = Server::start(&pool, &keys, Settings::default());
        let (authority, ctx) = (&b.authority, b.operator());
        let user = match bot {
            None => *bot.insert(b.bot().await),
            Some(user) => user,
        };
        if what == "user" {
            // The previous round removed the membership.
            b.admit_bot().await;
        }
        let minted = b.token_of_bot().await;
        let (id, text) = (minted.token.id, minted.secret.expose());
        a.remembers(text).await;
        a.freeze().await;
        let remove = async || match what {
            "token" => authority.tokens().delete(&ctx, id, None).await.map(drop),
            "member" => {
                let workspaces = authority.workspaces();
                workspaces.remove_member(&ctx, &workspace, user, None).await.map(drop)
            }
            _ => authority.users().remove(&ctx, user, None).await.map(drop),
        };
        let first = tokio::time::timeout(Duration::from_millis(200), remove()).await;
        assert!(first.is_err(), "{what}: answered while a server may still accept the token");
        let again = remove().await;
        assert!(matches!(again, Err(authority::ServiceError::NotFound(_))), "{what}: {again:?}");
        assert_ne!(a.decide(text).await, DecisionCode::Valid, "{what}");
    }
}

/// The first caller disconnected while it waited.
#[sqlx::test(migrations = false)]
async fn second_use_of_a_new_secret_waits_until_the_first_has_ended_the_grace(pool: PgPool) {
    let keys = keys(&pool).await;
    let mut a = Server::start(&pool, &keys, Settings::default());
    let [b, c] = [(), ()].map(|()| Server::start(&pool, &keys, Settings::default()));
    for there in [&b, &c] {
        let minted = b.token().await;
        let until_first_use = authority::RotationDraft {
            until_first_use: true,
            ..authority::RotationDraft::default()
        };
        let tokens = b.authority.tokens();
        let newer =
            tokens.rotate(&b.operator(), minted.token.id, None, until_first_use).await.unwrap();
        let (older, newer) = (minted.secret.expose(), newer.secret.expose());
        a.remembers(older).await;
        a.freeze().await;
        let first = tokio::time::timeout(Duration::from_millis(200), b.decide(newer)).await;
        assert!(first.is_err(), "answered while a server may still accept the older one");
        assert_eq!(there.decide(newer).await, DecisionCode::Valid);
        assert_eq!(a.decide(older).await, DecisionCode::Expired);
        a = Server::start(&pool, &keys, Settings::default());
    }
}

/// One part of the change is already in effect, by a change that was never answered. The other part
/// only widens.
#[sqlx::test(migrations = false)]
async fn change_that_widens_waits_for_an_earlier_change_that_narrows(pool: PgPool) {
    let keys = keys(&pool).await;
    let mut a = Server::start(&pool, &keys, Settings::default());
    let b = Server::start(&pool, &keys, Settings::default());
    let (tokens, ctx, workspace) = (b.authority.tokens(), b.operator(), slug("workspace-1"));
    let draft = maker(&["rivers:read", "rivers:run"]);
    let minted = tokens.create(&ctx, &workspace, draft).await.unwrap();
    let (id, text) = (minted.token.id, minted.secret.expose());
    a.remembers(text).await;
    tokens.disable(&ctx, id, None).await.unwrap();
    until("an answer from memory", async || {
        let is_remembered = a.is_remembered(text);
        if !is_remembered {
            assert_eq!(a.decide(text).await, DecisionCode::Disabled);
        }
        is_remembered
    })
    .await;
    a.freeze().await;
    let narrow = TokenPatch { scopes: Some(vec!["rivers:read".into()]), ..TokenPatch::default() };
    let first = tokens.update(&ctx, id, None, narrow.clone());
    let _ = tokio::time::timeout(Duration::from_millis(200), first).await;
    let both = TokenPatch { enabled: Some(true), ..narrow };
    tokens.update(&ctx, id, None, both).await.unwrap();
    assert!(!a.is_remembered(text), "the server may still answer with the old scopes");
}

fn maker(scopes: &[&str]) -> authority::TokenDraft {
    let mut draft = draft(scopes);
    draft.user = Some(crate::support::OWNER.into());
    draft
}
