//! Loads facts from the database in batches. Requests that arrive during a query are answered
//! together by the next one: the more requests at once, the less each costs. No request is answered
//! by a query that began before the request arrived.
//!
//! The loader has connections of its own. Other requests' connections do not keep verifications
//! waiting, and a pool tests each connection before and after use, which takes longer than the
//! query. A dead connection is replaced here when its query fails.
//!
//! Where the cache may be used, the cached parts of a token's user, workspace and catalogues are
//! not read again: most queries fetch only the token's own row.
//!
//! Reading the rights of a token with many scopes takes long. It runs on separate threads
//! ([`Kind::Rights`]), and the other requests of the batch do not wait for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::kernel::Facts;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    Pace, ServiceError,
    facts::Cache,
    keys::Digest,
    lease::History,
    store::{
        self, StoreError,
        facts::{self, Unread},
        history,
    },
    work::{Heavy, Kind, Pool},
};

/// How long a verification waits for the database before it is refused.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_500);
/// The maximum number of concurrent queries, and of connections.
const QUERIES_MAX: usize = 4;
/// How long an idle connection is kept. After that, a network device may have dropped it.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Another query starts only when more than this many requests wait for each query in progress. A
/// lower value gives the database more work than necessary; a higher one leaves it idle while
/// responses are sent (`tools/bench.sh uncached`).
const ENOUGH: usize = 2;
/// Further requests don't wait for a query that takes this long.
const SLOW: Duration = Duration::from_millis(50);
/// How often a connection is retried while the database has no free slot, and at what interval.
const ATTEMPTS: usize = 5;
const AGAIN: Duration = Duration::from_millis(20);
/// Why facts from another history are not used.
const ANOTHER_HISTORY: &str = "the database's history changed during the query";
/// The maximum number of texts in a query.
const BATCH_MAX: usize = 64;

type Found = Result<Option<Facts>, ServiceError>;

/// Loads facts.
pub(crate) struct Loader {
    /// Says where the database is, and whether it is still in use.
    pool: PgPool,
    cache: Arc<Cache>,
    history: Arc<History>,
    work: Arc<Pool>,
    state: Mutex<State>,
    /// Changes when the database is available again.
    back: watch::Receiver<()>,
    /// The runtime for queries: the first caller may be on threads that other callers should not
    /// depend on.
    runtime: Option<Handle>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    queries: usize,
    /// When the latest query began.
    began: Option<Instant>,
    idle: Vec<(Instant, Link)>,
}

/// A connection, and the history in which it was opened.
struct Link {
    connection: PgConnection,
    epoch: u64,
}

impl State {
    /// Returns whether the waiting requests justify another query besides those in progress. One
    /// query for many is much cheaper than many queries, but requests don't wait for a query that
    /// may hang.
    fn wants_another(&self) -> bool {
        let hangs = || self.began.is_none_or(|began| began.elapsed() > SLOW);
        self.queries < QUERIES_MAX && (self.waiting.len() > self.queries * ENOUGH || hangs())
    }
}

/// A waiting request.
struct Waiting {
    /// The digests of its text, one for each pepper.
    digests: Vec<Digest>,
    /// Whether there was a lease when the request arrived. If so, the cached facts include every
    /// change that was acknowledged before then.
    has_lease: bool,
    found: oneshot::Sender<Found>,
}

/// The result of a query.
#[derive(Clone)]
enum Loaded {
    Facts(Facts),
    /// The rest takes long to read.
    Unread(Arc<Unread>, Since),
}

/// The point that a row is not older than.
#[derive(Clone, Copy)]
struct Since {
    /// A generation of the cache.
    generation: u64,
    /// The history of the connection.
    epoch: u64,
}

/// A row whose remaining parts are to be read, and the requests that wait for it.
struct Reading {
    row: Arc<Unread>,
    since: Since,
    waiting: Vec<Waiting>,
}

/// A slot for one concurrent query, released when dropped.
struct Place {
    loader: Arc<Loader>,
    is_held: bool,
}

impl Loader {
    pub(crate) fn new(
        pool: PgPool,
        (cache, history, work): (Arc<Cache>, Arc<History>, Arc<Pool>),
        back: watch::Receiver<()>,
    ) -> Arc<Self> {
        let runtime = Handle::try_current().ok();
        Arc::new(Self { pool, cache, history, work, state: Mutex::default(), back, runtime })
    }

    /// Returns the facts of the token that one of these digests belongs to: as the database has
    /// them now or, with a lease, as every server with a lease has them.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database does not answer in time.
    pub(crate) async fn facts(self: &Arc<Self>, digests: Vec<Digest>, has_lease: bool) -> Found {
        let (found, answer) = oneshot::channel();
        let place = {
            let mut state = self.state();
            state.waiting.push(Waiting { digests, has_lease, found });
            state.wants_another().then(|| {
                state.queries += 1;
                Place { loader: Arc::clone(self), is_held: true }
            })
        };
        if let Some(place) = place {
            // A separate task: other requests may wait for this query, even if this caller goes
            // away.
            match &self.runtime {
                Some(runtime) => runtime.spawn(place.work()),
                None => tokio::spawn(place.work()),
            };
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(found)) => found,
            // A database that was cut off silently would block the caller for minutes.
            _ => Err(StoreError::away("timed out waiting for the database").into()),
        }
    }

    /// Sends the results to the waiting requests: now, or when the remaining parts are read.
    fn give(self: &Arc<Self>, found: impl Iterator<Item = (Waiting, Option<Loaded>)>) {
        let mut unread: HashMap<Uuid, VecDeque<Reading>> = HashMap::new();
        for (waiting, found) in found {
            let (row, since) = match found {
                Some(Loaded::Unread(row, since)) => (row, since),
                // Requests that were dropped meanwhile get nothing.
                Some(Loaded::Facts(facts)) => {
                    drop(waiting.found.send(Ok(Some(facts))));
                    continue;
                }
                None => {
                    drop(waiting.found.send(Ok(None)));
                    continue;
                }
            };
            let rows = unread.entry(row.bare.key.workspace.0).or_default();
            match rows.iter_mut().find(|known| Arc::ptr_eq(&known.row, &row)) {
                Some(known) => known.waiting.push(waiting),
                None => rows.push_back(Reading { row, since, waiting: vec![waiting] }),
            }
        }
        for (tenant, rows) in unread {
            tokio::spawn(Arc::clone(self).read(tenant, rows));
        }
    }

    /// Reads rows of a tenant on the threads for heavy work. Gives other tenants their turn after a
    /// while.
    async fn read(self: Arc<Self>, tenant: Uuid, mut rows: VecDeque<Reading>) {
        loop {
            rows.retain(|reading| reading.waiting.iter().any(|waiting| !waiting.found.is_closed()));
            if rows.is_empty() {
                return;
            }
            let some: Vec<_> = rows.iter().map(|reading| Arc::clone(&reading.row)).collect();
            let read = move |heavy: &Heavy| facts::read_some(&some, heavy);
            let read = match self.work.run(Kind::Rights, tenant, read).await {
                Ok(read) => read,
                Err(error) => return refuse(rows.into_iter().flat_map(|row| row.waiting), error),
            };
            for read in read {
                let Some(Reading { row, since, waiting }) = rows.pop_front() else { return };
                match read {
                    Ok(_) if since.epoch != self.history.epoch() => {
                        refuse(waiting, StoreError::away(ANOTHER_HISTORY).into());
                    }
                    Ok(surroundings) => {
                        let bare = row.bare.clone();
                        let surroundings =
                            self.cache.keep(since.generation, bare.key.clone(), surroundings);
                        let facts = bare.with(surroundings);
                        for waiting in waiting {
                            drop(waiting.found.send(Ok(Some(facts.clone()))));
                        }
                    }
                    Err(error) => refuse(waiting, error.into()),
                }
            }
        }
    }

    /// Drops the idle connections after the database was away.
    pub(crate) fn forget_connections(&self) {
        self.state().idle.clear();
    }

    /// Closes the idle connections; no new ones are opened.
    pub(crate) async fn close(&self) {
        let idle = std::mem::take(&mut self.state().idle);
        for (_, link) in idle {
            // The connection is not needed any more, whatever the result.
            let _ = link.connection.close().await;
        }
    }

    fn idle(&self) -> Option<Link> {
        let mut state = self.state();
        let epoch = self.history.epoch();
        state.idle.retain(|(since, link)| since.elapsed() < IDLE_MAX && link.epoch == epoch);
        state.idle.pop().map(|(_, link)| link).filter(|_| !self.pool.is_closed())
    }

    fn rest(&self, link: Link) {
        if !self.pool.is_closed() && self.is_current(&link) {
            self.state().idle.push((Instant::now(), link));
        }
    }

    /// Returns whether the history is still the one in which this connection was opened. An older
    /// connection may lead to a primary that was replaced.
    fn is_current(&self, link: &Link) -> bool {
        link.epoch == self.history.epoch()
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        if self.pool.is_closed() {
            return Err(sqlx::Error::PoolClosed.into());
        }
        let epoch = self.history.epoch();
        let mut connection = self.open().await?;
        if self.history.mark().is_some()
            && !self.history.agrees(history::mark(&mut connection).await?.as_ref())
        {
            return Err(StoreError::away("connected to a different database server"));
        }
        Ok(Link { connection, epoch })
    }

    /// Opens a connection. If the database has no free slot, idle connections of the pool are
    /// closed: requests can't use them before their tokens are verified.
    async fn open(&self) -> Result<PgConnection, StoreError> {
        let options = self.pool.connect_options();
        for _ in 0..ATTEMPTS {
            match store::open_for_verifications(&options).await.map_err(StoreError::from) {
                Err(error) if error.is_full() => {
                    while let Some(resting) = self.pool.try_acquire() {
                        drop(resting.detach());
                    }
                    sleep(AGAIN).await;
                }
                opened => return opened,
            }
        }
        Ok(store::open_for_verifications(&options).await?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "load_facts"))]
    async fn work(mut self) {
        while let Some(batch) = self.next() {
            match timeout(PATIENCE, self.insist(&batch)).await {
                Ok(Ok(found)) => self.loader.give(batch.into_iter().zip(found)),
                // A malformed row must not fail the rest of the batch.
                Ok(Err(error)) if batch.len() > 1 && !error.is_unavailable() => {
                    for waiting in batch {
                        let one = [waiting];
                        let found = timeout(PATIENCE, self.insist(&one)).await;
                        let [waiting] = one;
                        let Ok(found) = found else { continue };
                        match found {
                            Ok(found) => self.loader.give([waiting].into_iter().zip(found)),
                            Err(error) => drop(waiting.found.send(Err(error.into()))),
                        }
                    }
                }
                Ok(Err(error)) => refuse(batch, error.into()),
                // All requests of this batch have given up by now.
                Err(_) => {}
            }
        }
    }

    /// Takes some of the waiting requests, which then belong to this query. If none wait, releases
    /// this slot and returns `None`.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut state = self.loader.state();
        state.waiting.retain(|waiting| !waiting.found.is_closed());
        let some = state.waiting.len().min(BATCH_MAX);
        if some == 0 {
            // Under the same lock, so that a request that arrives after this check finds the slot
            // free.
            state.queries -= 1;
            self.is_held = false;
            return None;
        }
        state.began = Some(Instant::now());
        Some(state.waiting.drain(..some).collect())
    }

    /// Runs the query, and again whenever the database becomes available again: the earlier query
    /// may have been lost.
    async fn insist(&self, batch: &[Waiting]) -> Result<Vec<Option<Loaded>>, StoreError> {
        let mut back = self.loader.back.clone();
        back.mark_unchanged();
        loop {
            tokio::select! {
                biased;
                found = self.ask(batch) => return found,
                Ok(()) = back.changed() => {}
            }
        }
    }

    async fn ask(&self, batch: &[Waiting]) -> Result<Vec<Option<Loaded>>, StoreError> {
        if let Some(mut link) = self.loader.idle()
            && let Ok(found) = query(&mut link, &self.loader.cache, batch).await
            && self.loader.is_current(&link)
        {
            self.loader.rest(link);
            return Ok(found);
        }
        // There is no connection, or it was cut off meanwhile, or the query failed for another
        // reason, which will recur on a new one.
        let mut link = self.loader.connect().await?;
        let found = query(&mut link, &self.loader.cache, batch).await?;
        if !self.loader.is_current(&link) {
            return Err(StoreError::away(ANOTHER_HISTORY));
        }
        self.loader.rest(link);
        Ok(found)
    }
}

/// Sends the error to all of these requests. The cause of an error other than
/// [`ServiceError::Busy`] is reported only once.
fn refuse(all: impl IntoIterator<Item = Waiting>, error: ServiceError) {
    let (why, is_busy) = (error.to_string(), matches!(error, ServiceError::Busy));
    let mut error = Some(error);
    for waiting in all {
        let error = error.take().unwrap_or_else(|| {
            if is_busy { ServiceError::Busy } else { StoreError::away(&why).into() }
        });
        drop(waiting.found.send(Err(error)));
    }
}

async fn query(
    Link { connection, epoch }: &mut Link,
    cache: &Cache,
    batch: &[Waiting],
) -> Result<Vec<Option<Loaded>>, StoreError> {
    let digests_of = |with_lease: bool| -> Vec<Vec<u8>> {
        let some = batch.iter().filter(|waiting| waiting.has_lease == with_lease);
        some.flat_map(|waiting| &waiting.digests).map(|digest| digest.bytes.to_vec()).collect()
    };
    let mut known = HashMap::with_capacity(batch.len());
    let (few, mut rest) = (digests_of(true), digests_of(false));
    if !few.is_empty() {
        let generation = cache.generation();
        for (digest, bare) in facts::bare(connection, &few).await? {
            if let Some(facts) = cache.complete(generation, bare) {
                known.insert(digest, Loaded::Facts(facts));
            } else {
                rest.push(digest);
            }
        }
    }
    if !rest.is_empty() {
        let generation = cache.generation();
        let mut pace = Pace::default();
        for (digest, unread) in facts::whole(connection, &rest).await? {
            let (read, steps) = unread.read_soon()?;
            pace.spend(steps).await;
            let loaded = match read {
                Some(surroundings) => {
                    let bare = unread.bare;
                    // Cached without a lease, too: before there is a lease, everything that has
                    // changed meanwhile is invalidated.
                    let surroundings = cache.keep(generation, bare.key.clone(), surroundings);
                    Loaded::Facts(bare.with(surroundings))
                }
                None => Loaded::Unread(Arc::new(unread), Since { generation, epoch: *epoch }),
            };
            known.insert(digest, loaded);
        }
    }
    let of = |waiting: &Waiting| {
        waiting.digests.iter().find_map(|digest| known.get(&digest.bytes[..]).cloned())
    };
    Ok(batch.iter().map(of).collect())
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_held {
            self.loader.state().queries -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
    use tokio::net::TcpListener;

    use super::*;

    fn real(pool: PgPool) -> (Arc<Loader>, Arc<History>) {
        let history = Arc::new(History::new());
        let kept = (Arc::new(Cache::new(10)), Arc::clone(&history), Arc::default());
        (Loader::new(pool, kept, watch::Sender::new(()).subscribe()), history)
    }

    async fn mark(pool: &PgPool) -> history::Mark {
        let mut connection = pool.acquire().await.unwrap();
        history::mark(&mut connection).await.unwrap().unwrap()
    }

    #[sqlx::test]
    async fn connection_from_before_a_change_of_history_is_not_reused(pool: PgPool) {
        let (loader, history) = real(pool.clone());
        loader.facts(Vec::new(), false).await.unwrap();
        let Some(link) = loader.idle() else { panic!("the connection is not idle") };
        history.begin(Some(mark(&pool).await));
        assert!(!loader.is_current(&link));
        loader.rest(link);
        assert!(loader.idle().is_none());
        loader.facts(Vec::new(), false).await.unwrap();
        assert!(loader.idle().is_some());
    }

    #[sqlx::test]
    async fn row_is_parsed_once_for_all_waiters_and_not_used_after_a_change_of_history(
        pool: PgPool,
    ) {
        let (loader, history) = real(pool.clone());
        let row = Arc::new(facts::unread(&["a://b".to_owned()], &["*".to_owned()]));
        let since = Since { generation: 0, epoch: history.epoch() };
        let ask = || {
            let wait = || {
                let (found, answer) = oneshot::channel();
                (Waiting { digests: Vec::new(), has_lease: true, found }, answer)
            };
            let (all, answers): (Vec<_>, Vec<_>) = [wait(), wait(), wait()].into_iter().unzip();
            let found = || Some(Loaded::Unread(Arc::clone(&row), since));
            loader.give(all.into_iter().map(|waiting| (waiting, found())));
            futures::future::join_all(answers)
        };
        let surroundings: Vec<_> = ask()
            .await
            .into_iter()
            .map(|found| found.unwrap().unwrap().unwrap().surroundings)
            .collect();
        assert!(surroundings.iter().all(|one| Arc::ptr_eq(one, &surroundings[0])));
        assert_eq!(surroundings[0].rights[0].granted.len(), 1);
        history.begin(Some(mark(&pool).await));
        for found in ask().await {
            let found = found.unwrap();
            assert!(matches!(found, Err(ServiceError::Unavailable(_))), "{found:?}");
        }
    }

    #[sqlx::test]
    async fn verification_query_has_a_timeout(pool: PgPool) {
        let (loader, _) = real(pool);
        let mut link = loader.connect().await.unwrap();
        let limit: String = sqlx::query_scalar("SHOW statement_timeout")
            .fetch_one(&mut link.connection)
            .await
            .unwrap();
        assert_eq!(limit, "2s");
    }

    #[sqlx::test]
    async fn database_server_other_than_the_followers_is_not_queried_and_is_reported(pool: PgPool) {
        let (loader, history) = real(pool.clone());
        let other = history::Mark { timeline: "0000000F".into(), ..mark(&pool).await };
        history.begin(Some(other));
        let refused = loader.facts(Vec::new(), false).await;
        assert!(matches!(refused, Err(ServiceError::Unavailable(_))), "{refused:?}");
        history.suspected().await;
    }

    #[tokio::test]
    async fn waiting_lookup_is_sent_again_when_the_database_is_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(listener.local_addr().unwrap().port())
            .username("nobody")
            .ssl_mode(PgSslMode::Disable);
        let pool = PgPoolOptions::new().connect_lazy_with(options);
        let back = watch::Sender::new(());
        let loader = Loader::new(
            pool,
            (Arc::new(Cache::new(10)), Arc::new(History::new()), Arc::default()),
            back.subscribe(),
        );
        let asking = tokio::spawn({
            let loader = Arc::clone(&loader);
            async move { loader.facts(Vec::new(), false).await }
        });
        let _silent = listener.accept().await.unwrap();
        back.send_replace(());
        let again = timeout(Duration::from_mins(1), listener.accept()).await;
        assert!(again.is_ok(), "the loader did not reconnect");
        asking.abort();
    }
}
