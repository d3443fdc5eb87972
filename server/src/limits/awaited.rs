//! Counts the requests of a connection that only wait for their peer.
//!
//! A request whose body comes from an unauthenticated client, or is discarded, takes as long as its
//! peer takes to send it. Until the body has arrived, the request must not occupy its connection's
//! place.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Extensions;

/// The number of requests of one connection that wait for their peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited(Arc<AtomicUsize>);

/// A request that waits for its peer, until dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Awaited);

impl Awaited {
    /// Returns the number of requests that wait now.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the counter of the connection on which a request arrived.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// Counts a request that begins to wait.
    pub(crate) fn begin(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waiting(self.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
