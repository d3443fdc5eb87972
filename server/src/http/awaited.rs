//! Tells a connection that one of its requests only waits for its peer.
//!
//! A request whose body comes from a stranger, or is thrown away, takes as long as its peer likes. Until the
//! body is there, it must not keep its connection's place from others.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Extensions;

/// Counts the requests of one connection that wait for their peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited(Arc<AtomicUsize>);

/// A request that waits for its peer, until dropped.
#[derive(Debug)]
pub(super) struct Waiting(Awaited);

impl Awaited {
    /// The requests that wait now.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// The counter of the connection by which a request came.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// A request begins to wait.
    pub(super) fn begin(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waiting(self.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
