//! The state of a server: what all services share.

mod connections;
mod database;
mod imports;
mod lease;
mod met_sessions;
mod names_of_place;
mod pool;
mod readiness;
mod settings;
mod writers;

pub(crate) use database::OTHER_KEYS;
pub(crate) use met_sessions::MetSessions;
pub use settings::{Drill, Settings};
pub(crate) use writers::Writers;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
};

use domain::ids::UserId;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    clock::Clock,
    counters::Counters,
    entropy::{self, Entropy},
    facts::{
        Cache, Loader, UnknownTokens,
        rate::{Rates, TokenRates},
    },
    kernel::{Actor, OpContext, ServiceError, Surface},
    keys::Keys,
    lease::{History, Replica},
    password::PasswordVault,
    patterns::Patterns,
    refusals::Refusals,
    shares::{Shared, Shares},
    usage::UsageRecorder,
    work::Pool,
};
use pool::closing_what_is_before;
use readiness::Readiness;

/// The core: storage, keys, clock, randomness, and the services over them. Cheap to clone.
#[derive(Clone)]
pub struct Authority {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pool: PgPool,
    pub(crate) shares: Shares,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(crate) passwords: PasswordVault,
    pub(crate) usage: UsageRecorder,
    pub(crate) rates: TokenRates,
    /// Successful sign-ins of a person from a network.
    pub(crate) right_sign_ins: Rates<(UserId, String)>,
    pub(crate) unknown: UnknownTokens,
    /// The same budgets, for texts that may be sessions.
    pub(crate) unknown_sessions: UnknownTokens,
    pub(crate) met_sessions: MetSessions,
    pub(crate) readiness: Readiness,
    pub(crate) writers: Writers,
    /// Whether any token was imported from another system: see [`crate::transfer`].
    pub(crate) imports: AtomicBool,
    pub(crate) cache: Arc<Cache>,
    pub(crate) loader: Arc<Loader>,
    pub(crate) replica: Replica,
    pub(crate) history: Arc<History>,
    pub(crate) counters: Counters,
    /// Runs heavy work off the threads that serve requests.
    pub(crate) work: Arc<Pool>,
    pub(crate) patterns: Arc<Patterns>,
    pub(crate) refusals: Refusals,
    /// Signals that descendants are to be stopped in the background.
    pub(crate) stops: tokio::sync::Notify,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Authority")
    }
}

impl Inner {
    pub(crate) async fn connection(&self) -> Result<Shared, ServiceError> {
        let share = self.share().await?;
        self.follower_first().await?;
        Ok(Shared::new(self.pool.acquire().await?, share))
    }

    pub(crate) fn uuid(&self, now: OffsetDateTime) -> Uuid {
        entropy::uuid(self.entropy.as_ref(), now)
    }
}

impl Authority {
    /// Assembles the core. Runs no query yet.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "replaced by a pool that closes connections from before a change of history"
    )]
    pub fn new(
        pool: PgPool,
        keys: Keys,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Self {
        let work = Arc::new(Pool::default());
        let passwords = PasswordVault::new(entropy.as_ref(), Arc::clone(&work))
            .with_host(settings.public_host.clone());
        let usage = UsageRecorder::default();
        let rates = TokenRates::default();
        let right_sign_ins = Rates::default();
        let unknown = UnknownTokens::new(settings.unknown_token_rate);
        let unknown_sessions = UnknownTokens::new(settings.unknown_token_rate);
        let keys = Arc::new(keys);
        let imports = AtomicBool::new(false);
        let cache = Arc::new(Cache::new(settings.cached_tokens));
        let started_at = clock.now();
        let id = entropy::uuid(entropy.as_ref(), started_at);
        let replica = Replica::new(id, started_at, settings.drill.without_lease);
        let history = Arc::new(History::new());
        let pool = closing_what_is_before(&pool, &history);
        let loader = Loader::new(
            pool.clone(),
            (Arc::clone(&cache), Arc::clone(&history), Arc::clone(&work)),
            replica.back.subscribe(),
        );
        let counters = Counters::default();
        let inner = Inner {
            shares: Shares::new(pool.options().get_max_connections()),
            pool,
            keys,
            clock,
            entropy,
            settings,
            passwords,
            usage,
            rates,
            right_sign_ins,
            unknown,
            unknown_sessions,
            met_sessions: MetSessions::default(),
            readiness: Readiness::default(),
            writers: Writers::default(),
            imports,
            cache,
            loader,
            replica,
            history,
            counters,
            work,
            patterns: Arc::default(),
            refusals: Refusals::default(),
            stops: tokio::sync::Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the context of one operation, at the current time.
    pub fn context(
        &self,
        actor: Actor,
        surface: Surface,
        request_id: String,
        client_ip: Option<IpAddr>,
    ) -> OpContext {
        let now = self.now();
        let keys = Arc::clone(&self.inner.keys);
        OpContext {
            actor,
            surface,
            request_id,
            session: None,
            client_ip,
            user_agent: None,
            now,
            keys,
        }
    }

    /// Returns the current time.
    pub fn now(&self) -> OffsetDateTime {
        // The database stores microseconds: times that are compared with its own must not be more
        // precise.
        let now = self.inner.clock.now();
        now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
    }

    /// Returns a new request id.
    pub fn request_id(&self) -> String {
        self.inner.uuid(self.inner.clock.now()).to_string()
    }
}
