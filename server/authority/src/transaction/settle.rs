//! Waits until a narrowing change holds everywhere.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{
    ServiceError,
    kernel::Subject,
    lease::LEASE,
    state::Inner,
    store::{
        StoreError, history, replicas,
        revisions::{self, RevisionKey},
    },
};

/// The first pause between two checks of the other replicas' positions; it doubles.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);
/// How long a widening change waits for the other replicas to apply it.
const MOMENT: Duration = Duration::from_millis(250);

impl Inner {
    /// Returns when no other replica can answer from facts before this revision, which is committed
    /// and applied here: immediately if there is no other replica, after a few milliseconds if the
    /// others are notified, after [`LEASE`] at the latest.
    pub(crate) async fn settle(&self, revision: i64) {
        let took = self.wait(revision, LEASE).await;
        self.counters.revoked(took);
    }

    /// Waits for the other replicas to apply a widening change, with a shorter timeout. It is a
    /// convenience: a command that enables a token finishes when the servers have applied that.
    pub(crate) async fn tell(&self, revision: i64) {
        self.wait(revision, MOMENT).await;
    }

    async fn wait(&self, revision: i64, longest: Duration) -> Duration {
        let committed = self.clock.elapsed();
        let epoch = self.history.epoch();
        let mut pause = FIRST_LOOK;
        let mut told = false;
        loop {
            let waited = self.clock.elapsed().saturating_sub(committed);
            // A database that was cut off silently must not delay the response any longer.
            let left = longest.saturating_sub(waited);
            match timeout(left, self.awaited(revision, &mut told)).await {
                // In another history the same number may denote another revision.
                Ok(Ok(0)) if self.history.epoch() == epoch => break,
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "failed to read the replicas' state"),
            }
            let waited = self.clock.elapsed().saturating_sub(committed);
            if waited >= longest {
                break;
            }
            sleep(pause.min(longest.saturating_sub(waited))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.clock.elapsed().saturating_sub(committed)
    }

    /// Checks that a revision that was committed before the history changed is in the database that
    /// this server reaches now.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it is not, or that cannot be determined.
    pub(crate) async fn is_kept(&self, (id, nonce): RevisionKey) -> Result<(), ServiceError> {
        self.lease().await?;
        let mut connection = self.connection().await?;
        if history::missing(&mut connection, &[id], &[nonce]).await?.is_empty() {
            return Ok(());
        }
        Err(StoreError::away("the change was lost in a failover").into())
    }

    /// Returns when every earlier committed change of these subjects holds everywhere.
    pub(crate) async fn already_so(&self, subjects: &[Subject]) -> Result<(), ServiceError> {
        let mut connection = self.connection().await?;
        let last = revisions::last(&mut connection).await?;
        // The revisions that this server has applied are invalidated here, provided that they
        // belong to the same history.
        let is_same = self.history.mark().is_some()
            && self.history.agrees(history::mark(&mut connection).await?.as_ref());
        drop(connection);
        if !is_same || self.replica.applied() < last {
            self.cache.forget(subjects);
        }
        self.wait(last, LEASE).await;
        Ok(())
    }

    /// Returns how many replicas may still answer from earlier facts.
    async fn awaited(&self, revision: i64, told: &mut bool) -> Result<usize, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let behind = replicas::behind(&mut connection, self.replica.id, revision).await?;
        let now = self.clock.elapsed();
        let awaited =
            behind.iter().filter(|other| self.replica.silent_for(**other, now) < LEASE).count();
        if awaited > 0 && !*told {
            *told = true;
            replicas::notify(&mut connection).await?;
        }
        Ok(awaited)
    }
}
