//! Follows the other replicas: renews the lease and reads new revisions.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use sqlx::{
    Acquire as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::{
    kernel::Subject,
    lease::{Break, Made, RENEW_EVERY},
    state::{Authority, Inner},
    store::{
        self, StoreError, history,
        instance::has_these_keys,
        replicas::{self, Renewal},
        revisions::{self, RevisionKey},
    },
};

/// How long one exchange with the database may take. Two fit into a lease.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long one attempt to connect may take before another one starts beside it.
const ANOTHER: Duration = Duration::from_millis(250);
/// The pause after a failure.
const AGAIN: Duration = Duration::from_millis(100);
/// After this long without a notification, the listening connection is tested.
const HEAR_WITHIN: Duration = Duration::from_mins(1);
/// After this long without a renewal, a replica is considered gone.
const GONE: Duration = Duration::from_secs(15);
/// The maximum number of revisions that are read at a time.
const BATCH: i64 = 1_000;
/// How often a new connection checks whether the address of the database still leads to the same
/// server.
const CONFIRM_EVERY: Duration = Duration::from_secs(2);
/// The largest tolerated difference between this machine's clock and the database's.
const CLOCKS_APART: time::Duration = time::Duration::minutes(1);
/// How often one renewal may find that the history has changed.
const BREAKS_MAX: usize = 3;

/// The name and version under which this server is registered.
struct Own {
    name: String,
    version: &'static str,
}

/// The follower's connection, and this server's position in the history at its other end.
struct Link {
    connection: PgConnection,
    /// `None` until the server is registered.
    position: Option<Position>,
}

/// The state that a renewal must find again.
struct Position {
    /// How often the row of this server was renewed.
    renewals: i64,
    /// The last revision that was applied; `None` before the first one.
    anchor: Option<RevisionKey>,
    /// The epoch, which operators can raise.
    epoch: i64,
    /// Whether the keys are known to be those of this database. Unknown while no instance is set
    /// up.
    has_keys: bool,
}

impl Authority {
    /// Follows the other replicas, so that this one may answer from memory. Runs until dropped; a
    /// server spawns it once.
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "run_replica"))]
    pub async fn run_replica(self, name: String, version: &'static str) {
        let own = Own { name, version };
        let _followed = self.inner.replica.followed();
        tokio::join!(self.follow(&own), self.listen(), self.confirm());
    }

    /// Leaves the replicas: the others stop waiting for this one, and it answers nothing from
    /// memory any more.
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "leave_replicas"))]
    pub async fn leave_replicas(&self) {
        self.inner.replica.lease.give_back();
        if let Ok(mut connection) = self.inner.pool.acquire().await
            && let Err(error) = replicas::delete(&mut connection, self.inner.replica.id, None).await
        {
            tracing::debug!(%error, "the replica's row stays until another server removes it");
        }
    }

    async fn follow(&self, own: &Own) {
        // A separate connection: an exhausted pool must not cost the lease.
        let mut link: Option<Link> = None;
        let (mut works, mut was_away) = (false, false);
        let mut next = Instant::now();
        loop {
            let renewing = tokio::select! {
                () = sleep_until(next) => true,
                () = self.inner.replica.hint.notified() => false,
                () = self.inner.history.suspected() => {
                    link = None;
                    true
                }
            };
            // This process was suspended, or the database was slow. The connection may lead to a
            // primary that was replaced meanwhile.
            if renewing && !self.inner.has_lease() {
                link = None;
            }
            if link.is_none() {
                self.inner.replica.note_connection(false);
            }
            let began = Instant::now();
            let step = async {
                let link = match &mut link {
                    Some(link) => link,
                    none => {
                        let options = self.inner.pool.connect_options();
                        let mut connection = in_time(reach(&options)).await?;
                        in_time(self.inner.connected(&mut connection, was_away)).await?;
                        was_away = false;
                        none.insert(Link { connection, position: None })
                    }
                };
                // With a timeout of its own: the time that remains after connecting may be too
                // short.
                if renewing {
                    in_time(self.inner.renew(link, own)).await.map(|()| true)
                } else {
                    in_time(self.inner.read_and_tell(link)).await
                }
            };
            let outcome = step.await;
            let worked = std::mem::replace(&mut works, outcome.is_ok());
            if outcome.is_ok() {
                self.inner.replica.note_connection(true);
            }
            match outcome {
                Ok(true) if renewing => next = began + RENEW_EVERY,
                Ok(true) => {}
                // The next renewal finds out what has changed.
                Ok(false) => next = Instant::now(),
                Err(error) => {
                    // A database that is reachable but slow is not reported as away again and
                    // again.
                    was_away |= error.is_unavailable() && (worked || link.is_none());
                    // An exchange may still be in progress on it.
                    link = None;
                    self.inner.replica.note_connection(false);
                    if error.is_full() {
                        self.inner.leave_resting();
                    }
                    next = Instant::now() + AGAIN;
                    self.inner.replica.attempt_failed(&error);
                    tracing::debug!(%error, "failed to renew the lease");
                }
            }
        }
    }

    /// Regularly opens a connection as a request would, to check whether the address of the
    /// database now leads to another server. A connection that stays open does not show it.
    async fn confirm(&self) {
        loop {
            sleep(CONFIRM_EVERY).await;
            let look = async {
                let options = self.inner.pool.connect_options();
                let mut connection = store::open(&options).await?;
                let mark = history::mark(&mut connection).await?;
                connection.close().await?;
                Ok(mark)
            };
            match in_time(look).await {
                Ok(mark) => {
                    self.inner.history.agrees(mark.as_ref());
                }
                // The follower itself detects whether the database is away.
                Err(error) => tracing::debug!(%error, "failed to check the database's address"),
            }
        }
    }

    async fn listen(&self) {
        if self.inner.settings.drill.without_notify {
            return;
        }
        let mut back = self.inner.replica.back.subscribe();
        loop {
            // A new pool each time: a pool tests a connection that is returned to it, and the
            // connection may hang.
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .connect_lazy_with(self.inner.pool.connect_options().as_ref().clone());
            let heard = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen(replicas::CHANNEL).await?;
                hear(listener, HEAR_WITHIN, || self.inner.replica.hint.notify_one()).await
            };
            let ended: Result<(), sqlx::Error> = tokio::select! {
                ended = heard => ended,
                // An older connection may hang forever.
                Ok(()) = back.changed() => continue,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "not receiving notifications; renewals read new revisions");
            }
            sleep(AGAIN).await;
        }
    }
}

/// Forwards notifications. After some time without any, tests the connection: a network device may
/// have dropped it silently.
///
/// Returns why notifications can no longer be received.
async fn hear(
    mut listener: PgListener,
    within: Duration,
    heard: impl Fn(),
) -> Result<(), sqlx::Error> {
    // Notifications may have been missed before this connection existed.
    heard();
    loop {
        // A partly read message stays in the buffer after the timeout.
        if let Ok(notification) = timeout(within, listener.recv()).await {
            notification?;
            heard();
        } else {
            let connection = listener.acquire().await?;
            timeout(PATIENCE, replicas::give_sign_of_life(connection))
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??;
        }
    }
}

/// Opens a connection. Returns the first of several concurrent attempts to succeed, or why the last
/// of them failed.
///
/// Packets that were sent into a broken network are retransmitted after a second and then at
/// growing intervals (RFC 6298 section 2); a new attempt succeeds as soon as the network works.
async fn reach(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut attempts = FuturesUnordered::new();
    loop {
        attempts.push(store::open(options));
        let next = Instant::now() + ANOTHER;
        while let Ok(Some(reached)) = timeout_at(next, attempts.next()).await {
            // A refusal, for example by a server without a free slot, does not decide about the
            // earlier attempts.
            if reached.is_ok() || attempts.is_empty() {
                return reached.map_err(Into::into);
            }
        }
    }
}

/// Returns the database's response, if it arrives in time.
async fn in_time<T>(
    exchange: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| Err(StoreError::away("timed out waiting for the database")))
}

impl Inner {
    /// Ends the lease when the follower has a new connection: events since the last connection are
    /// not known.
    ///
    /// If another server answers, the cache is cleared at once; otherwise it is cleared when the
    /// server has accepted a write. Until then it can be used within
    /// [`Settings::stale_grace`](crate::Settings::stale_grace) only.
    async fn connected(
        &self,
        connection: &mut PgConnection,
        was_away: bool,
    ) -> Result<(), StoreError> {
        store::wait_in_short(connection).await?;
        let mark = history::mark(connection).await?;
        if mark.as_ref().is_some_and(history::Mark::is_standby) {
            // It may be about to be promoted. Its history counts once it accepts writes.
            self.replica.lease.end();
            return Err(StoreError::away("connected to a standby, which accepts no writes"));
        }
        self.compare_clocks(connection).await?;
        let is_same =
            self.history.learn(mark.as_ref()) || mark.is_some() && mark == self.history.mark();
        self.forget(Break::Connected, mark, is_same);
        if is_same && was_away {
            self.leave_connections();
        }
        Ok(())
    }

    /// Logs an error if this machine's clock and the database's are far apart. Both are used to
    /// judge when tokens and sessions expire and how long sign-in attempts are delayed.
    async fn compare_clocks(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let ahead = self.clock.now() - store::database_time(connection).await?;
        if ahead.abs() > CLOCKS_APART && self.replica.may_tell_of_clocks(self.clock.elapsed()) {
            tracing::error!(
                seconds_ahead = ahead.whole_seconds(),
                "the clocks of this machine and of the database differ: synchronize both with NTP, or tokens expire and sign-ins are delayed at the wrong times"
            );
        }
        Ok(())
    }

    /// Ends the lease and clears the cache, before anything is answered from another history. If
    /// the server is the same, existing connections may still be used, and `enter` clears the
    /// cache.
    fn forget(&self, why: Break, mark: Option<history::Mark>, is_same: bool) {
        self.replica.lease.end();
        if self.settings.drill.without_history {
            return;
        }
        if !is_same {
            self.replica.lease.give_back();
            tracing::warn!(
                reason = why.describe(),
                "the database's history may have changed: clearing everything in memory"
            );
            // Before the cache is cleared, so that results from older connections are not cached
            // afterwards.
            self.history.begin(mark);
        }
        self.replica.forget_others();
        self.usage.write_all_soon();
        if !is_same {
            self.cache.clear();
            self.leave_connections();
        }
    }

    /// Closes idle connections and wakes the tasks that use other existing ones: these connections
    /// may silently lead to another server, or to none.
    fn leave_connections(&self) {
        self.leave_resting();
        self.replica.back.send_replace(());
    }

    /// Closes the idle connections.
    fn leave_resting(&self) {
        while let Some(connection) = self.pool.try_acquire() {
            drop(connection.detach());
        }
        self.loader.forget_connections();
    }

    /// Renews the lease. The claim rests on the order: note the time, count up the row, read and
    /// apply new revisions, make sure that the history is still the same, and only then take the
    /// lease, counted from the noted time.
    async fn renew(&self, link: &mut Link, own: &Own) -> Result<(), StoreError> {
        let sent = self.clock.elapsed();
        for _ in 0..BREAKS_MAX {
            let told = self.replica.applied();
            let broken = match &mut link.position {
                None => {
                    link.position = Some(self.enter(&mut link.connection, own).await?);
                    self.catch_up(link).await?
                }
                Some(position) => {
                    let renewal = self.renewal(own);
                    if replicas::renew(&mut link.connection, &renewal, position.renewals).await? {
                        position.renewals += 1;
                        self.catch_up(link).await?
                    } else {
                        Some(Break::Row)
                    }
                }
            };
            let Some(why) = broken else {
                self.replica.renew_lease(sent);
                if self.replica.applied() != told {
                    self.tell_applied(&mut link.connection).await?;
                }
                return self.look_around(&mut link.connection).await;
            };
            let mark = history::mark(&mut link.connection).await?;
            self.forget(why, mark, false);
            link.position = None;
        }
        Err(StoreError::away("the database's history keeps changing"))
    }

    /// Registers this server. No other server has waited for its cached facts so far.
    async fn enter(
        &self,
        connection: &mut PgConnection,
        own: &Own,
    ) -> Result<Position, StoreError> {
        self.replica.lease.end();
        let epoch = history::epoch(connection).await?;
        let anchor = revisions::head(connection).await?;
        self.replica.applied.store(anchor.map_or(0, |(id, _)| id), Ordering::Release);
        let renewals = replicas::enter(connection, &self.renewal(own)).await?;
        // After the head was read: everything loaded from now on includes the revisions that are
        // not read again. And after a write: a database that accepts no writes counts as away.
        if !self.settings.drill.without_history {
            self.cache.clear();
        }
        self.report_lost(connection).await?;
        Ok(Position { renewals, anchor, epoch, has_keys: false })
    }

    /// Applies new revisions. If the history is not the known one, returns why.
    async fn catch_up(&self, link: &mut Link) -> Result<Option<Break>, StoreError> {
        let Link { connection, position: Some(position) } = link else { return Ok(None) };
        if !self.read(connection, position).await? {
            return Ok(Some(Break::Revisions));
        }
        self.know_keys(connection, position).await?;
        if history::epoch(connection).await? != position.epoch {
            return Ok(Some(Break::Epoch));
        }
        // A pooler may route one connection to different servers.
        if let Some(known) = self.history.mark()
            && history::mark(connection).await?.is_some_and(|mark| mark != known)
            && !self.settings.drill.without_history
        {
            return Ok(Some(Break::Server));
        }
        Ok(None)
    }

    /// Applies new revisions and publishes the new position. Does not extend the lease. Returns
    /// `false` when the history has changed.
    async fn read_and_tell(&self, link: &mut Link) -> Result<bool, StoreError> {
        let Some(position) = &mut link.position else { return Ok(false) };
        let before = self.replica.applied();
        if !self.read(&mut link.connection, position).await? {
            self.replica.lease.give_back();
            return Ok(false);
        }
        if self.replica.applied() != before {
            self.tell_applied(&mut link.connection).await?;
        }
        Ok(true)
    }

    async fn tell_applied(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        replicas::note_applied(connection, self.replica.id, self.replica.applied()).await
    }

    /// Applies new revisions. Returns `false` when the last applied revision is gone or is a
    /// different one.
    async fn read(
        &self,
        connection: &mut PgConnection,
        position: &mut Position,
    ) -> Result<bool, StoreError> {
        loop {
            let known = position.anchor;
            let from = known.map_or(0, |(id, _)| id);
            let rows = revisions::from(connection, from, BATCH).await?;
            let rows = match (known, rows.as_slice()) {
                (Some(known), [first, new @ ..]) if (first.id, first.nonce) == known => new,
                (Some(_), _) if !self.settings.drill.without_history => return Ok(false),
                (_, all) => all,
            };
            let Some(last) = rows.last() else { return Ok(true) };
            // The set-up is one of these rows, and is acknowledged only after this server has
            // applied it.
            self.know_keys(connection, position).await?;
            let revisions: Vec<_> = rows
                .iter()
                .map(|row| ((row.id, row.nonce), Subject::of(&row.kind, row.subject)))
                .collect();
            self.cache.apply(&revisions);
            self.replica.applied.store(last.id, Ordering::Release);
            position.anchor = Some((last.id, last.nonce));
        }
    }

    /// Checks that the keys are those of the database, as soon as it has an instance.
    ///
    /// # Errors
    ///
    /// `Unavailable` when they are not. The lease is given up then.
    async fn know_keys(
        &self,
        connection: &mut PgConnection,
        position: &mut Position,
    ) -> Result<(), StoreError> {
        if position.has_keys {
            return Ok(());
        }
        match has_these_keys(connection, &self.keys).await? {
            Some(false) => {
                self.replica.lease.give_back();
                self.replica.other_keys.send_replace(true);
                Err(StoreError::away("the keys do not match this database"))
            }
            known => {
                position.has_keys = known.is_some();
                Ok(())
            }
        }
    }

    /// Logs the changes that this server has acknowledged and that the database does not hold.
    async fn report_lost(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let made = self.history.made();
        if made.is_empty() {
            return Ok(());
        }
        let (ids, nonces): (Vec<_>, Vec<_>) = made.iter().filter_map(|made| made.revision).unzip();
        let missing = history::missing(connection, &ids, &nonces).await?;
        let new = made.iter().filter(|made| made.revision.is_none());
        let tokens: Vec<_> = new.flat_map(|made| &made.subjects).map(Subject::id).collect();
        let missing_tokens = history::missing_tokens(connection, &tokens).await?;
        let is_lost = |made: &Made| match made.revision {
            Some((id, _)) => missing.contains(&id),
            None => made.subjects.iter().any(|token| missing_tokens.contains(&token.id())),
        };
        let lost: Vec<Made> = made.into_iter().filter(is_lost).collect();
        for made in &lost {
            tracing::error!(
                revision = made.revision.map(|(id, _)| id),
                subjects = ?made.subjects,
                "a change that this server made is missing from the database: make the change again"
            );
        }
        self.history.forget_made(&lost);
        Ok(())
    }

    /// Records the renewal counts of the other replicas, and removes replicas that are gone.
    async fn look_around(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let others = replicas::others(connection, self.replica.id).await?;
        let now = self.clock.elapsed();
        self.replica.observe(&others, now);
        for other in others {
            if self.replica.silent_for(other, now) > GONE {
                replicas::delete(connection, other.id, Some(other.renewals)).await?;
                // It may register again with the same count, and then it has a lease.
                self.replica.forget_other(other.id);
            }
        }
        Ok(())
    }

    fn renewal<'a>(&self, own: &'a Own) -> Renewal<'a> {
        let latency = self.counters.snapshot().revocations;
        let microseconds = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Renewal {
            id: self.replica.id,
            name: &own.name,
            version: own.version,
            started_at: self.replica.started_at,
            now: self.clock.now(),
            applied: self.replica.applied(),
            revocations: i64::try_from(latency.count).unwrap_or(i64::MAX),
            p50_us: latency.quantile(0.5).map(microseconds),
            p99_us: latency.quantile(0.99).map(microseconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::{PgPool, postgres::PgSslMode};
    use tokio::{net::TcpListener, sync::Notify};
    use uuid::Uuid;

    use super::*;
    use crate::{
        Settings, clock::SystemClock, entropy::SystemEntropy, keys::Keys, store::replicas::Other,
    };

    /// The first row was silent for as long as the machine has been running; the next row begins
    /// with the same count.
    #[sqlx::test]
    async fn server_that_registers_again_after_its_row_was_removed_is_waited_for(pool: PgPool) {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let keys = Keys::generate(entropy.as_ref());
        let settings = Settings::default();
        let inner = Authority::new(pool.clone(), keys, clock, entropy, settings).inner;
        let other = Uuid::max();
        let own = Own { name: "b".into(), version: "0" };
        let renewal = Renewal { id: other, ..inner.renewal(&own) };
        let mut connection = pool.acquire().await.unwrap();
        let other = Other { id: other, renewals: 0 };
        assert_eq!(replicas::enter(&mut connection, &renewal).await.unwrap(), other.renewals);
        inner.replica.observe(&[other], Duration::ZERO);
        inner.look_around(&mut connection).await.unwrap();
        assert!(replicas::others(&mut connection, Uuid::nil()).await.unwrap().is_empty());
        replicas::enter(&mut connection, &renewal).await.unwrap();
        assert_eq!(inner.replica.silent_for(other, inner.clock.elapsed()), Duration::ZERO);
    }

    /// The database itself is queried. Notifications arrive before and after.
    #[sqlx::test]
    async fn silent_connection_is_tested(pool: PgPool) {
        let mut listener = PgListener::connect_with(&pool).await.unwrap();
        listener.listen(replicas::CHANNEL).await.unwrap();
        let id: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut listener).await.unwrap();
        let hints = Arc::new(Notify::new());
        let hint = Arc::clone(&hints);
        let hears =
            tokio::spawn(hear(listener, Duration::from_millis(5), move || hint.notify_one()));
        hints.notified().await;
        let alive = async {
            let last = "SELECT query FROM pg_stat_activity WHERE pid = $1";
            let last = || sqlx::query_scalar::<_, String>(last).bind(id).fetch_one(&pool);
            while last().await.unwrap() != "SELECT 1" {}
            let mut connection = pool.acquire().await.unwrap();
            replicas::notify(&mut connection).await.unwrap();
            hints.notified().await;
        };
        assert!(
            timeout(Duration::from_mins(1), alive).await.is_ok(),
            "the connection was not tested"
        );
        hears.abort();
    }

    #[tokio::test]
    async fn silent_or_refused_connection_attempt_is_followed_by_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(listener.local_addr().unwrap().port())
            .username("nobody")
            .ssl_mode(PgSslMode::Disable);
        let listen = async {
            let silent = listener.accept().await.unwrap();
            drop(listener.accept().await.unwrap());
            let another = listener.accept().await.unwrap();
            drop((silent, another));
        };
        tokio::select! {
            reached = reach(&options) => panic!("{reached:?}"),
            () = listen => {}
            () = sleep(Duration::from_mins(1)) => panic!("there was no other attempt"),
        }
    }
}
