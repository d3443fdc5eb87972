//! Following the others: renewing the lease, reading what is new.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::RENEW_EVERY;
use crate::{
    Authority,
    authority::Inner,
    store::{
        StoreError,
        replicas::{self, Renewal},
        revisions,
    },
    verification::Subject,
};

/// How long one exchange with the database may take: two fit into a lease.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long one attempt to connect is waited for before there is another one beside it.
const ANOTHER: Duration = Duration::from_millis(250);
/// The pause after a failure.
const AGAIN: Duration = Duration::from_millis(100);
/// A replica that was silent for so long is gone.
const GONE: Duration = Duration::from_secs(15);
/// Most revisions that are read at once.
const BATCH: i64 = 1_000;

/// What a server calls itself.
struct Own {
    name: String,
    version: &'static str,
}

impl Authority {
    /// Follows the other replicas, so that this one may answer from memory. Runs until dropped; a
    /// server spawns it once.
    pub async fn run_replica(self, name: String, version: &'static str) {
        let own = Own { name, version };
        tokio::join!(self.follow(&own), self.listen());
    }

    /// Leaves: nobody waits for this replica any more, and it answers nothing from memory.
    pub async fn leave_replicas(&self) {
        self.inner.replica.lease.give_back();
        if let Ok(mut connection) = self.inner.pool.acquire().await
            && let Err(error) = replicas::delete(&mut connection, self.inner.replica.id, None).await
        {
            tracing::debug!(%error, "the replica's row stays until others remove it");
        }
    }

    async fn follow(&self, own: &Own) {
        // A connection of its own: a pool that is exhausted must not cost the lease.
        let mut connection: Option<PgConnection> = None;
        let (mut works, mut was_away) = (false, false);
        let mut next = Instant::now();
        loop {
            let renewing = tokio::select! {
                () = sleep_until(next) => true,
                () = self.inner.replica.hint.notified() => false,
            };
            let began = Instant::now();
            let step = async {
                let connection = match &mut connection {
                    Some(connection) => connection,
                    none => {
                        let options = self.inner.pool.connect_options();
                        let reached = in_time(reach(&options)).await?;
                        if std::mem::take(&mut was_away) {
                            self.inner.start_over();
                        }
                        none.insert(reached)
                    }
                };
                // By itself: what is left of the time to connect may be too little for it.
                if renewing {
                    in_time(self.inner.renew(connection, own)).await
                } else {
                    in_time(self.inner.read_and_tell(connection)).await
                }
            };
            let outcome = step.await;
            let worked = std::mem::replace(&mut works, outcome.is_ok());
            match outcome {
                Ok(()) if renewing => next = began + RENEW_EVERY,
                Ok(()) => {}
                Err(error) => {
                    // One that can be reached and is slow is not taken for away again and again.
                    was_away |= error.is_unavailable() && (worked || connection.is_none());
                    // Half an exchange may still be under way on it.
                    connection = None;
                    next = Instant::now() + AGAIN;
                    tracing::debug!(%error, "the lease could not be renewed");
                }
            }
        }
    }

    async fn listen(&self) {
        if self.inner.settings.drill.without_notify {
            return;
        }
        let mut back = self.inner.replica.back.subscribe();
        loop {
            // Each time another pool: what is given back to one is asked for a last word first, and may be silent.
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .connect_lazy_with(self.inner.pool.connect_options().as_ref().clone());
            let heard = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen(replicas::CHANNEL).await?;
                loop {
                    listener.recv().await?;
                    self.inner.replica.hint.notify_one();
                }
            };
            let ended: Result<(), sqlx::Error> = tokio::select! {
                ended = heard => ended,
                // A connection from before may be silent for ever.
                Ok(()) = back.changed() => continue,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "notifications are not heard; renewals read what is new");
            }
            sleep(AGAIN).await;
        }
    }
}

/// A connection: the first that there is of several attempts, or why the last of them failed. What was sent
/// into a network that was cut is sent again by the system a second later and then ever more seldom (RFC
/// 6298 section 2); a new attempt gets through as soon as there is a way.
async fn reach(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut attempts = FuturesUnordered::new();
    loop {
        attempts.push(PgConnection::connect_with(options));
        let next = Instant::now() + ANOTHER;
        while let Ok(Some(reached)) = timeout_at(next, attempts.next()).await {
            // One that is refused, such as by a server without room for more, says nothing of those before it.
            if reached.is_ok() || attempts.is_empty() {
                return reached.map_err(Into::into);
            }
        }
    }
}

/// What the database answers, if it does so in time.
async fn in_time<T>(
    exchange: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(StoreError::away("no answer in time")))
}

impl Inner {
    /// The database was away and is there again. Connections from before are left: what is said on them may
    /// come to nobody, and nobody tells.
    fn start_over(&self) {
        while let Some(connection) = self.pool.try_acquire() {
            drop(connection.detach());
        }
        self.loader.forget_connections();
        self.replica.back.send_replace(());
    }

    /// Renews the lease. The order is what the claim rests on: note the moment, count up the row, read
    /// what is new and apply it, and only then have a lease, from the moment that was noted.
    async fn renew(&self, connection: &mut PgConnection, own: &Own) -> Result<(), StoreError> {
        let sent = self.clock.elapsed();
        let renewal = self.renewal(own);
        if !replicas::renew(connection, &renewal).await? {
            // New, or taken for gone: then nobody has waited for what is kept here.
            self.replica.lease.give_back();
            let last = revisions::last(connection).await?;
            self.cache.clear();
            self.replica.applied.store(last, Ordering::Release);
            replicas::insert(connection, &Renewal { applied: last, ..renewal }).await?;
        }
        let last = revisions::last(connection).await?;
        if last < self.replica.applied() {
            // An older state of the database was put back: what was applied since is not there any more,
            // and its numbers will be given again.
            self.cache.clear();
            self.replica.applied.store(last, Ordering::Release);
        }
        self.read(connection).await?;
        self.replica.lease.renew(sent);
        if self.replica.applied() != renewal.applied {
            replicas::note_applied(connection, self.replica.id, self.replica.applied()).await?;
        }
        self.look_around(connection).await
    }

    /// Applies what is new and says so. Extends nothing.
    async fn read_and_tell(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let before = self.replica.applied();
        self.read(connection).await?;
        if self.replica.applied() != before {
            replicas::note_applied(connection, self.replica.id, self.replica.applied()).await?;
        }
        Ok(())
    }

    async fn read(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        loop {
            let rows = revisions::after(connection, self.replica.applied(), BATCH).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            let subjects: Vec<Subject> =
                rows.iter().map(|row| Subject::of(&row.kind, row.subject)).collect();
            self.cache.forget(&subjects);
            self.replica.applied.store(last.id, Ordering::Release);
        }
    }

    /// Notes how far the others have counted, and removes those that are gone.
    async fn look_around(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let others = replicas::others(connection, self.replica.id).await?;
        let now = self.clock.elapsed();
        self.replica.observe(&others, now);
        for other in others {
            if self.replica.silent_for(other, now) > GONE {
                replicas::delete(connection, other.id, Some(other.renewals)).await?;
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
    use sqlx::postgres::PgSslMode;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn attempt_that_hears_nothing_or_is_refused_is_neither_waited_for_alone_nor_the_last() {
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
