//! What a server does beside answering: writing last uses and refusals, forgetting what is over, learning that
//! another server has imported tokens, stopping descendants that are noted.

use std::time::Duration;

use crate::{Authority, KNOWN_FOR, ServiceError, store, usage};

/// How long a last use may wait.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// How often a server looks for descendants that are to be stopped, beside those that it hears of.
const STOP_EVERY: Duration = Duration::from_secs(2);
/// Flushes between two clean-ups: ten minutes.
const CLEAN_EVERY: u32 = 300;
/// How many names are folded at a time.
const NAMES: i64 = 500;
/// How long revisions are kept that every replica has applied: for people who look into them.
const REVISIONS_KEPT: time::Duration = time::Duration::DAY;

impl Authority {
    /// Runs until dropped. A server spawns it once.
    pub async fn run_background(self) {
        // Apart: a row of the log may have to wait for the end of a chain, uses may not.
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

    /// Folds names that servers of 0.1 wrote, at the start and now and then: they may still run.
    async fn run_names(&self) {
        // Not at once: a server that starts has no lease yet.
        let first = tokio::time::Instant::now() + FLUSH_EVERY;
        let mut interval = tokio::time::interval_at(first, FLUSH_EVERY * CLEAN_EVERY);
        loop {
            interval.tick().await;
            if let Err(error) = self.fold_names().await {
                error.log("background");
            }
        }
    }

    /// Stops tokens that are noted and that no server stops: descendants after a reuse, or because a server ended amid that.
    async fn run_stops(&self) {
        let mut interval = tokio::time::interval(STOP_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = self.inner.stops.notified() => {}
            }
            // Neither waits for the other.
            let (descendants, secrets) =
                tokio::join!(self.stop_noted_descendants(), self.disable_known_secrets());
            for error in [descendants, secrets].into_iter().filter_map(Result::err) {
                error.log("background");
            }
        }
    }

    /// Folds all addresses of users and names of tokens that have no key yet, names some in each transaction.
    ///
    /// # Errors
    /// `Unavailable` without the database.
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

    /// Removes sessions, links, counted attempts and kept replies that are over, and old counts.
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
        store::usage::delete_before(&mut connection, now - usage::KEPT).await?;
        store::revisions::delete_before(&mut connection, now - REVISIONS_KEPT).await?;
        Ok(())
    }
}
