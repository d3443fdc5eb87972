//! Whether a task renews the lease, and whether it succeeds.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use super::Replica;
use crate::{kernel::chain, store::StoreError};

/// Marks that a task renews the lease, until dropped.
pub(crate) struct Followed<'a>(&'a Replica);

impl Drop for Followed<'_> {
    fn drop(&mut self) {
        self.0.is_followed.store(false, Ordering::Release);
    }
}

impl Replica {
    /// Records that a task renews the lease.
    pub(crate) fn followed(&self) -> Followed<'_> {
        self.is_followed.store(true, Ordering::Release);
        Followed(self)
    }

    /// Renews the lease, counted from this time.
    pub(crate) fn renew_lease(&self, sent: Duration) {
        self.is_failing.store(false, Ordering::Release);
        self.lease.renew(sent);
        self.attempts.send_modify(|_| ());
    }

    /// Records whether the task that renews the lease has a connection.
    pub(crate) fn note_connection(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Release);
        self.attempts.send_modify(|_| ());
    }

    /// Records that the lease could not be renewed, and why.
    pub(crate) fn attempt_failed(&self, error: &StoreError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = chain(error);
        self.is_failing.store(true, Ordering::Release);
        self.attempts.send_modify(|failed| *failed = failed.wrapping_add(1));
    }

    /// Returns whether an attempt to renew the lease has failed since the last renewal.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }
}
