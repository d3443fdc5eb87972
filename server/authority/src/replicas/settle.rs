//! Waiting until a narrowing change holds everywhere.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::LEASE;
use crate::{
    ServiceError,
    authority::Inner,
    store::{
        StoreError, history, replicas,
        revisions::{self, RevisionKey},
    },
    verification::Subject,
};

/// The first pause between two looks at how far the others are; it doubles.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);
/// How long a change that takes nothing away waits for others to hear of it.
const MOMENT: Duration = Duration::from_millis(250);

impl Inner {
    /// Returns when no other replica can answer by earlier facts than this revision, which is
    /// committed and applied here: at once when there is none, after a few milliseconds when they
    /// hear of it, after [`LEASE`] at the latest.
    pub(crate) async fn settle(&self, revision: i64) {
        let took = self.wait(revision, LEASE).await;
        self.counters.revoked(took);
    }

    /// The same for a moment at most, when nothing depends on it but that what was given is there: a command
    /// that has enabled a token ends when the servers know.
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
            // A database that is cut off without a word must not hold the answer for longer.
            let left = longest.saturating_sub(waited);
            match timeout(left, self.awaited(revision, &mut told)).await {
                // In another history the same number may be another revision.
                Ok(Ok(0)) if self.history.epoch() == epoch => break,
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "cannot see how far the replicas are"),
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

    /// Makes sure that a revision that was committed before the history has changed is in the database that
    /// this server reaches now.
    ///
    /// # Errors
    /// `Unavailable` when it is not, or that cannot be found out.
    pub(crate) async fn is_kept(&self, (id, nonce): RevisionKey) -> Result<(), ServiceError> {
        self.lease().await?;
        let mut connection = self.connection().await?;
        if history::missing(&mut connection, &[id], &[nonce]).await?.is_empty() {
            return Ok(());
        }
        Err(StoreError::away("the change was lost in a failover").into())
    }

    /// Returns when every change of this that was committed before holds everywhere.
    pub(crate) async fn already_so(&self, subjects: &[Subject]) -> Result<(), ServiceError> {
        let mut connection = self.connection().await?;
        let last = revisions::last(&mut connection).await?;
        // What this server has applied it has forgotten, if that was a revision of the same history.
        let is_same = self.history.mark().is_some()
            && self.history.agrees(history::mark(&mut connection).await?.as_ref());
        drop(connection);
        if !is_same || self.replica.applied() < last {
            self.cache.forget(subjects);
        }
        self.wait(last, LEASE).await;
        Ok(())
    }

    /// How many replicas may still answer by what was before.
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
