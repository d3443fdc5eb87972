//! Background tasks of a server: writing last uses and refusals, deleting expired rows, noticing
//! imports by other servers, and stopping the descendants that are recorded for that.

mod refusals;
mod usage;

use std::time::Duration;

use crate::{KNOWN_FOR, ServiceError, state::Authority, store};

/// How long a recorded use waits to be written.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// How often a server checks for descendants that are to be stopped, besides being notified.
const STOP_EVERY: Duration = Duration::from_secs(2);
/// Flushes between two clean-ups: ten minutes.
const CLEAN_EVERY: u32 = 300;
/// How many names are folded in one transaction.
const NAMES: i64 = 500;
/// How long revisions are kept after every replica has applied them, for operators who inspect
/// them.
const REVISIONS_KEPT: time::Duration = time::Duration::DAY;

impl Authority {
    /// Runs until dropped. A server spawns it once.
    pub async fn run_background(self) {
        // Concurrently: an audit row may have to wait for the end of a chain, uses must not.
        tokio::join!(self.run_upkeep(), self.run_refusals(), self.run_names(), self.run_stops());
    }

    async fn run_upkeep(&self) {
        let mut interval = tokio::time::interval(FLUSH_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks: u32 = 0;
        loop {
            interval.tick().await;
            self.flush_due_usage().await;
            if let Err(error) = self.learn_imports().await {
                error.log("background");
            }
            if ticks.is_multiple_of(CLEAN_EVERY)
                && let Err(error) = self.forget_ended().await
            {
                error.log("background");
            }
            ticks = ticks.wrapping_add(1);
        }
    }

    /// Folds names that servers of 0.1 wrote, at the start and regularly: such servers may still
    /// run.
    async fn run_names(&self) {
        // Not at once: a server that has just started has no lease yet.
        let first = tokio::time::Instant::now() + FLUSH_EVERY;
        let mut interval = tokio::time::interval_at(first, FLUSH_EVERY * CLEAN_EVERY);
        loop {
            interval.tick().await;
            if let Err(error) = self.fold_names().await {
                error.log("background");
            }
        }
    }

    /// Stops tokens that are recorded for that and that no server is stopping yet: descendants after
    /// a reuse, or after a server died in the middle of a stop.
    async fn run_stops(&self) {
        let mut interval = tokio::time::interval(STOP_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = self.inner.stops.notified() => {}
            }
            // Concurrently, so that neither waits for the other.
            let (descendants, secrets) =
                tokio::join!(self.stop_noted_descendants(), self.disable_known_secrets());
            for error in [descendants, secrets].into_iter().filter_map(Result::err) {
                error.log("background");
            }
        }
    }

    /// Folds all addresses of users and names of tokens that have no key yet, some in each
    /// transaction.
    ///
    /// # Errors
    ///
    /// `Unavailable` without the database.
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "fold_names"))]
    pub async fn fold_names(&self) -> Result<(), ServiceError> {
        let mut transaction = self.inner.begin().await?;
        store::addresses::fold(&mut transaction).await?;
        transaction.commit().await?;
        loop {
            let mut transaction = self.inner.begin().await?;
            let found = store::names::fold_some(&mut transaction, NAMES).await?;
            transaction.commit().await?;
            if found == 0 {
                return Ok(());
            }
        }
    }

    /// Deletes expired sessions, links, counted attempts and stored responses, and old counts.
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "forget_ended"))]
    pub async fn forget_ended(&self) -> Result<(), ServiceError> {
        let now = self.inner.clock.now();
        let idle_since = now - self.inner.settings.session_idle;
        let mut connection = self.inner.connection().await?;
        store::sessions::delete_ended(&mut connection, now, idle_since).await?;
        store::passwords::delete_ended(&mut connection, now).await?;
        store::throttles::delete_ended(&mut connection, now).await?;
        store::throttles::forget_proxies(&mut connection, now - KNOWN_FOR).await?;
        store::throttles::forget_networks(&mut connection, now - KNOWN_FOR).await?;
        store::idempotency::delete_ended(&mut connection, now).await?;
        store::imports::delete_collisions_before(&mut connection, now - time::Duration::DAY)
            .await?;
        store::usage::delete_before(&mut connection, now - self::usage::KEPT).await?;
        store::revisions::delete_before(&mut connection, now - REVISIONS_KEPT).await?;
        Ok(())
    }
}
