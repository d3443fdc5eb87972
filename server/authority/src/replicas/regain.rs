//! Waits for a lease.
//!
//! A server that was suspended, or has just started, normally gets its lease within milliseconds.
//! Until then it cannot determine whether the database that it reaches was replaced by another one.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::timeout;

use super::Replica;
use crate::{ServiceError, authority::Inner, error::chain, store::StoreError};

/// How long a request waits for a lease.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// After this many failed attempts a request stops waiting. The first of them may have begun long
/// before the request.
const ATTEMPTS: u64 = 2;

/// Marks that a task renews the lease, until dropped.
pub(super) struct Followed<'a>(&'a Replica);

impl Drop for Followed<'_> {
    fn drop(&mut self) {
        self.0.is_followed.store(false, Ordering::Release);
    }
}

impl Replica {
    /// Records that a task renews the lease.
    pub(super) fn followed(&self) -> Followed<'_> {
        self.is_followed.store(true, Ordering::Release);
        Followed(self)
    }

    /// Renews the lease, counted from this time.
    pub(super) fn renew_lease(&self, sent: Duration) {
        self.is_failing.store(false, Ordering::Release);
        self.lease.renew(sent);
        self.attempts.send_modify(|_| ());
    }

    /// Records whether the task that renews the lease has a connection.
    pub(super) fn note_connection(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Release);
        self.attempts.send_modify(|_| ());
    }

    /// Records that the lease could not be renewed, and why.
    pub(super) fn attempt_failed(&self, error: &StoreError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = chain(error);
        self.is_failing.store(true, Ordering::Release);
        self.attempts.send_modify(|failed| *failed = failed.wrapping_add(1));
    }

    /// Returns whether an attempt to renew the lease has failed since the last renewal.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }
}

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
    /// `Unavailable` when there is no lease in time.
    pub(crate) async fn lease(&self) -> Result<(), ServiceError> {
        self.regain(|| self.has_lease()).await
    }

    /// Waits until the task that renews the lease has a connection. A database may accept fewer
    /// connections than this server wants, and without that one all the others are useless.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it has none in time.
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
