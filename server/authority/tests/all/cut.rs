//! A database whose connections go silent, and recovery as soon as it can be reached again.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{future::pending, path::PathBuf, pin::pin, sync::Arc};

use crate::support::{World, draft, slug, until};
use authority::{
    Actor, Authority, Decision, OpContext, Presented, ServiceError, Settings, Surface,
    clock::SystemClock, entropy::SystemEntropy, keys::Keys,
};
use domain::decision::Demand;
use secrecy::ExposeSecret as _;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
};

/// A proxy to a database. When it is cut, its connections go silent for good: neither end
/// is notified.
struct Way {
    folder: TempDir,
    is_cut: watch::Sender<bool>,
    _carried: JoinSet<()>,
}

impl Way {
    fn to(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        let name = format!(".s.PGSQL.{}", options.get_port());
        let real = options.get_socket().unwrap().join(&name);
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join(name)).unwrap();
        let is_cut = watch::Sender::new(false);
        let cut = is_cut.subscribe();
        let mut carried = JoinSet::new();
        carried.spawn(async move {
            let mut each = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                each.spawn(carry(near, real.clone(), cut.clone()));
            }
        });
        Self { folder, is_cut, _carried: carried }
    }
}

async fn carry(mut near: UnixStream, real: PathBuf, mut is_cut: watch::Receiver<bool>) {
    let mut carried = pin!(async {
        let mut far = UnixStream::connect(real).await.unwrap();
        let _ = copy_bidirectional(&mut near, &mut far).await;
    });
    tokio::select! {
        biased;
        () = async { drop(is_cut.wait_for(|is_cut| *is_cut).await) } => pending().await,
        () = &mut carried => {}
    }
}

struct Server {
    authority: Authority,
}

impl Server {
    fn start(pool: &PgPool, way: &Way, keys: Keys) -> Self {
        let options = pool.connect_options().as_ref().clone().socket(way.folder.path());
        let pool = PgPoolOptions::new().max_connections(3).connect_lazy_with(options);
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let authority = Authority::new(pool, keys, clock, entropy, Settings::default());
        tokio::spawn(authority.clone().run_replica("test".into(), "0"));
        Self { authority }
    }

    fn context(&self, actor: Actor) -> OpContext {
        self.authority.context(actor, Surface::Rest, "test".into(), None)
    }

    async fn token(&self) -> String {
        let mut draft = draft(&["rivers:read"]);
        draft.user = Some(crate::support::OWNER.into());
        let (ctx, workspace) = (self.context(Actor::Operator), slug("workspace-1"));
        let minted = self.authority.tokens().create(&ctx, &workspace, draft).await.unwrap();
        minted.secret.expose().to_owned()
    }

    fn is_remembered(&self, text: &str) -> bool {
        let now = self.authority.now();
        let at = Presented { now, ip: None, agent: None, learned: false };
        let verification = self.authority.verification();
        verification.decide_remembered(text, &Demand::default(), at).is_some()
    }

    async fn decide(&self, text: &str) -> Result<Decision, ServiceError> {
        let ctx = self.context(Actor::Anonymous);
        self.authority.verification().decide(&ctx, text, &Demand::default()).await
    }

    /// Verifies until the token is answered from memory.
    async fn remembers(&self, text: &str) {
        until("an answer from memory", async || {
            let is_remembered = self.is_remembered(text);
            if !is_remembered {
                // Refused while the lease cannot be renewed.
                let _ = self.decide(text).await;
            }
            is_remembered
        })
        .await;
    }

    /// Waits until the token is, or is no longer, answered from memory.
    async fn until_remembered(&self, text: &str, wanted: bool) {
        until("the token to be remembered or forgotten", async || {
            self.is_remembered(text) == wanted
        })
        .await;
    }

    /// Queries on every connection of the pool, and waits until all of them are idle.
    async fn ask_on_all(&self) {
        let time = || self.authority.database_time();
        tokio::try_join!(time(), time(), time()).unwrap();
        until("idle connections", async || self.authority.observe().pool.idle >= 3).await;
    }
}

async fn keys(pool: &PgPool) -> Keys {
    let keys = Keys::generate(&SystemEntropy);
    let text = keys.to_toml();
    drop(World::with_keys(pool.clone(), keys).await);
    Keys::from_toml(text.expose_secret()).unwrap()
}

#[sqlx::test(migrations = false)]
async fn requests_succeed_again_once_the_lease_is_renewed(pool: PgPool) {
    let way = Way::to(&pool);
    let server = Server::start(&pool, &way, keys(&pool).await);
    let (known, unknown) = (server.token().await, server.token().await);
    server.remembers(&known).await;
    server.ask_on_all().await;

    way.is_cut.send_replace(true);
    server.until_remembered(&known, false).await;
    way.is_cut.send_replace(false);
    // The server may have missed changes, so it reads the token again.
    server.remembers(&known).await;
    // This must not use one of the earlier connections, which are idle and silent.
    server.ask_on_all().await;
    server.decide(&unknown).await.unwrap();
}

/// Without notifications nothing is stale, but every change takes as long as a renewal.
#[sqlx::test(migrations = false)]
async fn notifications_are_received_again(pool: PgPool) {
    let way = Way::to(&pool);
    let server = Server::start(&pool, &way, keys(&pool).await);
    let listeners = async || -> Vec<i32> {
        let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'listen%'";
        sqlx::query_scalar(query).fetch_all(&pool).await.unwrap()
    };
    let heard_by_another = async |than: &[i32]| {
        until("another listener", async || listeners().await.iter().any(|pid| !than.contains(pid)))
            .await;
    };
    heard_by_another(&[]).await;
    let before = listeners().await;
    let token = server.token().await;
    server.remembers(&token).await;
    way.is_cut.send_replace(true);
    server.until_remembered(&token, false).await;
    way.is_cut.send_replace(false);
    heard_by_another(&before).await;
}
