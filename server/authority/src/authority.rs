//! The handle through which the surfaces call the services.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
};

use domain::ids::UserId;
use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    AuditLog, Catalogues, Idempotency, Invitations, Passwords, Policies, Replicas, ServiceError,
    Sessions, Setup, Tokens, Transfer, Users, Verification, Workspaces,
    audit::{self, Refusals},
    clock::Clock,
    context::{Actor, OpContext, Surface},
    counters::Counters,
    entropy::{self, Entropy},
    error::chain,
    keys::Keys,
    password::PasswordVault,
    policies::Patterns,
    readiness::Readiness,
    replicas::{History, Replica, Transaction},
    sessions::MetSessions,
    shares::{Shared, Shares},
    store::{self, MIGRATIONS, StoreError},
    usage::UsageRecorder,
    verification::{
        Cache, Follows, Loader, UnknownTokens,
        rate::{Rates, TokenRates},
    },
    work::Pool,
};

/// How many tokens' old audit rows, written by version 0.1, are read in one transaction.
const OLD_LOG_AT_ONCE: i64 = 20;

/// The settings that an operator may change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A session expires when it was not used for this long.
    pub session_idle: Duration,
    /// A session expires after this long, used or not.
    pub session_absolute: Duration,
    /// Most tokens whose facts are cached.
    pub cached_tokens: usize,
    /// How many unknown tokens a second are looked up for one address, and ten times as many at
    /// once; the same number of unknown sessions; 0 for no limit.
    pub unknown_token_rate: u32,
    /// How many successful sign-ins a person may make from one address at once, followed by one a
    /// second. Each server counts separately.
    pub right_sign_ins: u32,
    /// The host of the server's public address; empty if it is not configured. It is easy to guess
    /// in a password.
    pub public_host: String,
    /// How long verifications may still be answered from memory when the database is away and the
    /// lease has expired. Tokens that were revoked on another server may be accepted during this
    /// time.
    pub stale_grace: std::time::Duration,
    /// The mechanisms that a drill switches off, to check that their absence is noticed.
    pub drill: Drill,
}

/// Mechanisms that drills can switch off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drill {
    /// The lease counts as valid forever.
    pub without_lease: bool,
    /// Notifications are ignored.
    pub without_notify: bool,
    /// Changes of the database's history are not detected.
    pub without_history: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_idle: Duration::hours(2),
            session_absolute: Duration::hours(12),
            cached_tokens: 100_000,
            unknown_token_rate: 100,
            right_sign_ins: 100,
            public_host: String::new(),
            stale_grace: std::time::Duration::ZERO,
            drill: Drill::default(),
        }
    }
}

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
    pub(crate) follows: Follows,
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

    /// Begins a transaction of the server's own, or one that only reads. A change that a caller
    /// requests begins with [`Inner::begin_for`].
    pub(crate) async fn begin(&self) -> Result<Transaction<'_>, ServiceError> {
        Transaction::begin(self).await
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
            follows: Follows::default(),
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

    /// Migrates the schema to this build, writes the rows that every instance has, and begins the
    /// audit log. Several servers may do so at once. If the schema is up to date, it is not
    /// touched, so that a role without DDL privileges can serve.
    pub async fn migrate(&self) -> Result<(), ServiceError> {
        self.migrate_tables().await?;
        self.begin_log().await
    }

    /// Migrates the schema to this build, and writes the rows that every instance has, as far as
    /// that needs no keys.
    pub async fn migrate_tables(&self) -> Result<(), ServiceError> {
        if self.pending_migrations().await? > 0 {
            store::database::migrate(&self.inner.pool.connect_options()).await?;
        }
        self.read_old_log().await?;
        self.tokens().read_all().await?;
        let mut transaction = self.inner.begin().await?;
        let now = self.inner.clock.now();
        self.catalogues().seed(&mut transaction, now).await?;
        store::addresses::fold(&mut transaction).await?;
        transaction.commit().await?;
        self.learn_imports().await
    }

    /// Reads the audit rows about tokens that version 0.1 wrote, a few tokens in each transaction:
    /// servers of 0.1 that still run may change the other tokens meanwhile.
    async fn read_old_log(&self) -> Result<(), ServiceError> {
        loop {
            let mut transaction = self.inner.begin().await?;
            let read = store::old_log::read_some(&mut transaction, OLD_LOG_AT_ONCE).await?;
            transaction.commit().await?;
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Begins the audit log, and chains rows from the time before it had chains.
    ///
    /// # Errors
    ///
    /// `Internal` when the keys are not those of this database.
    pub async fn begin_log(&self) -> Result<(), ServiceError> {
        let mut transaction = self.inner.begin().await?;
        self.inner.check_keys(&mut transaction).await?;
        audit::adopt(&mut transaction, &self.inner.keys).await?;
        transaction.commit().await
    }

    /// Checks for problems that don't go away by waiting: a pooler's mode, the database's encoding,
    /// read-only defaults, another schema.
    ///
    /// # Errors
    ///
    /// `Internal` with a [`store::DatabaseProblem`], whose text names the remedy.
    pub async fn check_database(&self) -> Result<(), ServiceError> {
        // First, because behind such a pooler other checks may fail with less helpful errors.
        store::database::check_pooler(&self.inner.pool.connect_options()).await?;
        let mut connection = self.inner.connection().await?;
        store::database::check(&mut connection).await
    }

    /// Returns how many migrations of this build the database lacks.
    pub async fn pending_migrations(&self) -> Result<usize, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let applied = store::applied_migrations(&mut connection).await?;
        Ok(MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count())
    }

    /// Refuses keys that did not produce the data in the database: with other keys, every token and
    /// every count would silently be lost.
    ///
    /// # Errors
    ///
    /// `Internal` when the keys are different; its text may be shown to the operator.
    pub async fn check_keys(&self) -> Result<(), ServiceError> {
        let mut connection = self.inner.connection().await?;
        self.inner.check_keys(&mut connection).await
    }

    /// Resolves when this server finds that its keys are not those of the database. Returns the
    /// error of [`Self::check_keys`].
    pub async fn other_keys(&self) -> ServiceError {
        let mut found = self.inner.replica.other_keys.subscribe();
        // The sender lives as long as `self`.
        let _ = found.wait_for(|found| *found).await;
        ServiceError::internal(OTHER_KEYS)
    }

    /// Returns the database's clock, to compare it with the machine's.
    pub async fn database_time(&self) -> Result<OffsetDateTime, ServiceError> {
        let mut connection = self.inner.connection().await?;
        Ok(store::database_time(&mut connection).await?)
    }

    /// Writes pending uses and closes the pool.
    pub async fn close(&self) {
        self.flush_usage().await;
        self.close_refusals().await;
        self.inner.pool.close().await;
        self.inner.loader.close().await;
    }

    /// First start: the one-time link and the set-up behind it.
    pub fn setup(&self) -> Setup<'_> {
        Setup { inner: &self.inner }
    }

    /// Signing in and out.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions { inner: &self.inner }
    }

    /// Passwords of people.
    pub fn passwords(&self) -> Passwords<'_> {
        Passwords { inner: &self.inner }
    }

    /// Workspaces and their members.
    pub fn workspaces(&self) -> Workspaces<'_> {
        Workspaces { inner: &self.inner }
    }

    /// Invitations to workspaces.
    pub fn invitations(&self) -> Invitations<'_> {
        Invitations { inner: &self.inner }
    }

    /// Policies and presets.
    pub fn policies(&self) -> Policies<'_> {
        Policies { inner: &self.inner }
    }

    /// The users of the instance.
    pub fn users(&self) -> Users<'_> {
        Users { inner: &self.inner }
    }

    /// Tokens.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { inner: &self.inner }
    }

    /// Audiences and their scopes.
    pub fn catalogues(&self) -> Catalogues<'_> {
        Catalogues { inner: &self.inner }
    }

    /// "May this token do this?"
    pub fn verification(&self) -> Verification<'_> {
        Verification { inner: &self.inner }
    }

    /// Requests that may be repeated.
    pub fn idempotency(&self) -> Idempotency<'_> {
        Idempotency { inner: &self.inner }
    }

    /// Tokens from and for other systems.
    pub fn transfer(&self) -> Transfer<'_> {
        Transfer { inner: &self.inner }
    }

    /// The servers of this instance.
    pub fn replicas(&self) -> Replicas<'_> {
        Replicas { inner: &self.inner }
    }

    /// What this server has counted since it started.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// The audit log.
    pub fn audit(&self) -> AuditLog<'_> {
        AuditLog { inner: &self.inner }
    }
}

/// The error for keys that are not those of the database.
pub(crate) const OTHER_KEYS: &str = "the keys file does not match this database: restore keys.toml from a backup, or copy it from another server of this instance";

impl Inner {
    async fn check_keys(&self, connection: &mut PgConnection) -> Result<(), ServiceError> {
        match has_these_keys(connection, &self.keys).await? {
            Some(false) => Err(ServiceError::internal(OTHER_KEYS)),
            _ => Ok(()),
        }
    }
}

/// Returns whether the instance was set up with these keys; `None` while it is not set up.
pub(crate) async fn has_these_keys(
    connection: &mut PgConnection,
    keys: &Keys,
) -> Result<Option<bool>, StoreError> {
    let check = store::instance::key_check(connection).await?;
    Ok(check.map(|check| keys.made(&check)))
}

/// Returns the same pool, but with two checks: it accepts connections only to the follower's
/// server, and closes those that are older than the last change of the database's history.
fn closing_what_is_before(pool: &PgPool, history: &Arc<History>) -> PgPool {
    let [at_connect, at_acquire, at_release] = std::array::from_fn(|_| Arc::clone(history));
    pool.options()
        .clone()
        .after_connect(move |connection, _| {
            let history = Arc::clone(&at_connect);
            Box::pin(async move {
                let epoch = history.epoch();
                store::configure(connection).await?;
                // A connection that was being opened when the history changed may lead to a primary
                // that was replaced, and its age counts from now.
                if history.mark().is_some() {
                    let found = store::history::mark(connection).await;
                    let found = found.map_err(|error| sqlx::Error::Protocol(chain(&error)))?;
                    if !history.agrees(found.as_ref()) {
                        return Err(sqlx::Error::Protocol(
                            "connected to a different database server".into(),
                        ));
                    }
                }
                if history.epoch() != epoch {
                    let why =
                        "the database's history changed while the connection was being opened";
                    return Err(sqlx::Error::Protocol(why.into()));
                }
                Ok(())
            })
        })
        .before_acquire(move |_, connection| {
            let is_current = !at_acquire.is_before(connection.age);
            Box::pin(async move { Ok(is_current) })
        })
        .after_release(move |_, connection| {
            let is_current = !at_release.is_before(connection.age);
            Box::pin(async move { Ok(is_current) })
        })
        .connect_lazy_with(pool.connect_options().as_ref().clone())
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::store::history::{Mark, mark};

    async fn mark_of(pool: &PgPool) -> Mark {
        let mut connection = pool.acquire().await.unwrap();
        mark(&mut connection).await.unwrap().unwrap()
    }

    /// Such a connection was being opened when the history changed, and reached the replaced
    /// primary.
    #[sqlx::test]
    async fn pool_takes_no_connection_to_another_server_than_the_followers(pool: PgPool) {
        let history = Arc::new(History::new());
        let options = pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new().connect_lazy_with(options);
        let own = closing_what_is_before(&own, &history);
        let here = mark_of(&pool).await;
        history.begin(Some(Mark { timeline: "0000000F".into(), ..here.clone() }));
        tokio::select! {
            biased;
            _ = own.acquire() => panic!("the pool accepted a connection to another server"),
            () = history.suspected() => {}
        }
        history.begin(Some(here));
        assert!(own.acquire().await.is_ok());
    }
}
