//! A small world for tests: a set-up instance, a clock that the test controls, and contexts
//! by role.
#![allow(
    clippy::allow_attributes,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test that panics has failed"
)]

pub mod spans;

use std::sync::{Arc, Mutex};

use authority::{
    Actor, Authority, MintedToken, NewAdmin, NewWorkspace, OpContext, Settings, SignIn, Surface,
    TokenDraft, clock::Clock, entropy::SystemEntropy, keys::Keys, secret::Password,
};
use domain::{
    decision::{DecisionCode, Demand},
    names::Slug,
    session::Visitor,
};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

pub const PASSWORD: &str = "violet kettle drums outside";
pub const OWNER: &str = "ada@example.com";
pub const START: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);

/// Drops the tables that a test run's databases already have (`tools/with-postgres.sh`).
pub async fn drop_tables(pool: &PgPool) {
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(pool).await.unwrap();
}

#[derive(Clone)]
pub struct TestClock(Arc<Mutex<OffsetDateTime>>);

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }

    fn elapsed(&self) -> std::time::Duration {
        (self.now() - START).unsigned_abs()
    }
}

pub struct World {
    pub authority: Authority,
    pub pool: PgPool,
    clock: TestClock,
}

impl World {
    /// Creates an empty database with its schema.
    pub async fn empty(pool: PgPool) -> Self {
        Self::empty_with_keys(pool, Keys::generate(&SystemEntropy)).await
    }

    async fn empty_with_keys(pool: PgPool, keys: Keys) -> Self {
        Self::empty_with(pool, keys, Settings::default()).await
    }

    async fn empty_with(pool: PgPool, keys: Keys, settings: Settings) -> Self {
        let clock = TestClock(Arc::new(Mutex::new(START)));
        let authority = Authority::new(
            pool.clone(),
            keys,
            Arc::new(clock.clone()),
            Arc::new(SystemEntropy),
            settings,
        );
        authority.migrate().await.unwrap();
        Self { authority, pool, clock }
    }

    /// Sets up an instance with Ada, its owner, and "Workspace 1".
    pub async fn founded(pool: PgPool) -> Self {
        Self::with_keys(pool, Keys::generate(&SystemEntropy)).await
    }

    /// Sets up the same instance, with keys that other servers may share.
    pub async fn with_keys(pool: PgPool, keys: Keys) -> Self {
        Self::empty_with_keys(pool, keys).await.found().await
    }

    /// Sets up the same instance, on a server with these settings.
    pub async fn with_settings(pool: PgPool, settings: Settings) -> Self {
        Self::empty_with(pool, Keys::generate(&SystemEntropy), settings).await.found().await
    }

    async fn found(self) -> Self {
        let world = self;
        let admin = NewAdmin {
            email: OWNER.into(),
            name: Some("Ada".into()),
            password: password(PASSWORD),
        };
        world.authority.setup().create_admin(&world.operator(), admin).await.unwrap();
        world
    }

    /// Opens an existing database, at a time of the caller's choice.
    pub async fn restored(pool: PgPool, keys: Keys, now: OffsetDateTime) -> Self {
        let clock = TestClock(Arc::new(Mutex::new(now)));
        let authority = Authority::new(
            pool.clone(),
            keys,
            Arc::new(clock.clone()),
            Arc::new(SystemEntropy),
            Settings::default(),
        );
        authority.migrate().await.unwrap();
        Self { authority, pool, clock }
    }

    pub fn pass(&self, duration: Duration) {
        *self.clock.0.lock().unwrap() += duration;
    }

    pub fn context(&self, actor: Actor) -> OpContext {
        let address = Some("192.0.2.1".parse().unwrap());
        self.authority.context(actor, Surface::Rest, "test".into(), address)
    }

    pub fn operator(&self) -> OpContext {
        self.context(Actor::Operator)
    }

    pub fn anonymous(&self) -> OpContext {
        self.context(Actor::Anonymous)
    }

    pub async fn owner(&self) -> OpContext {
        self.signed_in(OWNER).await
    }

    /// Returns the context of a person, as their session would.
    pub async fn signed_in(&self, email: &str) -> OpContext {
        self.context(Actor::User(self.visitor(email).await))
    }

    async fn visitor(&self, email: &str) -> Visitor {
        let sign_in = SignIn {
            email: email.into(),
            password: password(PASSWORD),
            user_agent: None,
            known_browser: None,
        };
        self.authority.sessions().sign_in(&self.anonymous(), sign_in).await.unwrap().visitor
    }

    /// Creates a person without rights on the instance, with a role in a workspace or none.
    pub async fn person(&self, name: &str, membership: Option<(&str, &str)>) -> OpContext {
        let email = format!("{name}@example.com");
        // Each name has its own id.
        let digest: [u8; 32] = Sha256::digest(name).into();
        let id = Uuid::from_slice(&digest[..16]).unwrap();
        sqlx::query(
            "INSERT INTO users (id, kind, email, name, password_hash, instance_role, created_at, updated_at, email_key)
             SELECT $1, 'person', $2, $3, password_hash, 'member', $4, $4, $2 FROM users WHERE email = $5",
        )
        .bind(id)
        .bind(&email)
        .bind(name)
        .bind(START)
        .bind(OWNER)
        .execute(&self.pool)
        .await
        .unwrap();
        if let Some((workspace, role)) = membership {
            self.join(&email, workspace, role).await;
        }
        self.signed_in(&email).await
    }

    pub async fn join(&self, email: &str, workspace: &str, role: &str) {
        sqlx::query(
            "INSERT INTO memberships (workspace_id, user_id, role, created_at)
             SELECT w.id, u.id, $3, $4 FROM workspaces w, users u WHERE w.slug = $1 AND u.email = $2",
        )
        .bind(workspace)
        .bind(email)
        .bind(role)
        .bind(START)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    pub async fn workspace(&self, slug: &str) -> Slug {
        let workspace = NewWorkspace { slug: Some(slug.into()), name: slug.into() };
        self.authority.workspaces().create(&self.operator(), workspace).await.unwrap().slug
    }

    /// Creates a token that acts as Ada in "Workspace 1".
    pub async fn token(&self, audience: &str, scopes: &[&str]) -> MintedToken {
        let draft = TokenDraft { audiences: vec![audience.into()], ..draft(scopes) };
        self.mint(&self.owner().await, "workspace-1", draft).await
    }

    pub async fn mint(&self, ctx: &OpContext, workspace: &str, draft: TokenDraft) -> MintedToken {
        let home = slug(workspace);
        Box::pin(self.authority.tokens().create(ctx, &home, draft)).await.unwrap()
    }

    /// Returns the context of a caller who presents a token.
    pub async fn bearer(&self, minted: &MintedToken) -> OpContext {
        let ctx = self.anonymous();
        let actor =
            self.authority.verification().authenticate(&ctx, minted.secret.expose()).await.unwrap();
        self.context(actor)
    }

    pub async fn decide(&self, text: &str, demand: &Demand) -> DecisionCode {
        let ctx = self.anonymous();
        self.authority.verification().decide(&ctx, text, demand).await.unwrap().code
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.unwrap();
    }
}

/// The longest time that a single step may take on a busy machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// Checks a condition every 5 milliseconds until it holds, and fails the test if it never does.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = Box::pin(async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    let outcome = tokio::time::timeout(PATIENCE, wait).await;
    assert!(outcome.is_ok(), "waited {PATIENCE:?} in vain for {what}");
}

/// Returns the URL of a test's database.
pub fn url(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let server = std::env::var("DATABASE_URL").unwrap();
    server.replacen("/postgres?", &format!("/{}?", options.get_database().unwrap()), 1)
}

/// Returns how often a race runs. `make drill-races` runs each a thousand times.
pub fn rounds(usual: usize) -> usize {
    std::env::var("TESSERA_RACE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

pub fn password(text: &str) -> Password {
    Password::new(text.into())
}

pub fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

pub fn draft(scopes: &[&str]) -> TokenDraft {
    TokenDraft {
        name: "ci".into(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        ..TokenDraft::default()
    }
}

pub fn demand(audience: &str, scopes: &[&str]) -> Demand {
    Demand {
        audience: Some(audience.parse().unwrap()),
        scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        ..Demand::default()
    }
}
