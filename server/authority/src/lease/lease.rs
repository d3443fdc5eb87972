//! The right to answer from memory, for a limited time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::lease::{LEASE, MARGIN};

/// How long a lease is held.
const HELD: Duration = LEASE.saturating_sub(MARGIN);

/// A replica's lease, on its own monotonic clock. It is invalid until it is renewed for the first
/// time.
pub(crate) struct Lease {
    /// When the lease expires, in nanoseconds.
    ends: AtomicU64,
    /// When the last lease would have expired by itself; 0 when memory must not be used after it.
    held: AtomicU64,
    /// When the last successful renewal was sent.
    renewed: AtomicU64,
    /// The lease counts as valid forever. Only for a drill, which must notice it.
    endless: bool,
}

impl Lease {
    pub(crate) const fn new(endless: bool) -> Self {
        Self {
            ends: AtomicU64::new(0),
            held: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
            endless,
        }
    }

    /// Renews the lease, counted from the time before the renewal was sent.
    pub(crate) fn renew(&self, sent: Duration) {
        self.renewed.store(nanoseconds(sent), Ordering::Release);
        self.held.store(nanoseconds(sent + HELD), Ordering::Release);
        self.ends.store(nanoseconds(sent + HELD), Ordering::Release);
    }

    /// Ends the lease. Memory may still be used if the operator allows that.
    pub(crate) fn end(&self) {
        self.ends.store(0, Ordering::Release);
    }

    /// Ends the lease, and any use of memory after it.
    pub(crate) fn give_back(&self) {
        self.end();
        self.held.store(0, Ordering::Release);
    }

    /// Returns whether the lease is valid. Read the clock after the request has arrived, not
    /// before.
    pub(crate) fn is_valid(&self, now: Duration) -> bool {
        self.endless || nanoseconds(now) < self.ends.load(Ordering::Acquire)
    }

    /// Returns how long there has been no lease; zero while it is valid, `None` when there never
    /// was a lease or it was given back.
    pub(crate) fn over_for(&self, now: Duration) -> Option<Duration> {
        let held = self.held.load(Ordering::Acquire);
        (held > 0).then(|| now.saturating_sub(Duration::from_nanos(held)))
    }

    /// Returns the time since the last renewal; `None` before the first one.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        let renewed = self.renewed.load(Ordering::Acquire);
        (renewed > 0).then(|| now.saturating_sub(Duration::from_nanos(renewed)))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_counts_from_sending_and_ends_before_other_servers_stop_waiting() {
        let lease = Lease::new(false);
        let sent = Duration::from_secs(100);
        assert!(!lease.is_valid(sent));
        assert_eq!(lease.over_for(sent), None);
        lease.renew(sent);
        let end = sent + HELD;
        assert!(lease.is_valid(end.saturating_sub(Duration::from_nanos(1))));
        assert!(!lease.is_valid(end) && end < sent + LEASE);
        assert_eq!(lease.over_for(end + MARGIN), Some(MARGIN));
        lease.renew(end);
        lease.end();
        assert!(!lease.is_valid(end));
        assert_eq!(lease.over_for(end), Some(Duration::ZERO));
        lease.give_back();
        assert_eq!(lease.over_for(end), None);
    }
}
