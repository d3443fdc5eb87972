//! Waits for a lease.
//!
//! A server that was suspended, or has just started, normally gets its lease within milliseconds.
//! Until then it cannot determine whether the database that it reaches was replaced by another one.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::timeout;

use crate::{ServiceError, state::Inner, store::StoreError};

/// How long a request waits for a lease.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// After this many failed attempts a request stops waiting. The first of them may have begun long
/// before the request.
const ATTEMPTS: u64 = 2;

impl Inner {
    /// Returns whether this server has a lease. Call it after the request has arrived.
    pub(crate) fn has_lease(&self) -> bool {
        self.replica.lease.is_valid(self.clock.elapsed())
    }

    /// Returns whether a task renews this process's lease. Commands have none, and a server that
    /// shuts down gives its own back.
    pub(crate) fn is_followed(&self) -> bool {
        self.replica.is_followed.load(Ordering::Acquire) && !self.settings.drill.without_history
    }

    /// Waits for a lease, unless no task renews it.
    ///
    /// # Errors
    ///
    /// `Unavailable` if there is no lease in time.
    pub(crate) async fn lease(&self) -> Result<(), ServiceError> {
        self.regain(|| self.has_lease()).await
    }

    /// Waits until the task that renews the lease has a connection. A database may accept fewer
    /// connections than this server wants, and without that connection all others are useless.
    ///
    /// # Errors
    ///
    /// `Unavailable` if that task has no connection in time.
    pub(crate) async fn follower_first(&self) -> Result<(), ServiceError> {
        self.regain(|| self.replica.is_connected.load(Ordering::Acquire)).await
    }

    /// Waits for the outcome of an attempt to renew the lease, unless no task makes such attempts.
    async fn regain(&self, is_there: impl Fn() -> bool) -> Result<(), ServiceError> {
        if !self.is_followed() || is_there() {
            return Ok(());
        }
        let mut attempts = self.replica.attempts.subscribe();
        let before = *attempts.borrow_and_update();
        let wait = async {
            while !is_there() {
                let failed = attempts.borrow_and_update().wrapping_sub(before);
                if failed >= ATTEMPTS || attempts.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        if timeout(PATIENCE, wait).await == Ok(true) {
            return Ok(());
        }
        let why = self.replica.failure.lock().unwrap_or_else(PoisonError::into_inner);
        Err(StoreError::away(&format!("the lease cannot be renewed: {why}")).into())
    }
}
