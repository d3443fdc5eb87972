//! The activity of a connection, for observers outside it: its own timer, and new connections that
//! need its place.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::limits::awaited::Awaited;

/// Ticks of about a second. Only their order matters, so that requests need not read the clock.
static TICKS: AtomicU32 = AtomicU32::new(1);

/// The activity of a connection.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Counts requests that began, and writes.
    progress: AtomicU64,
    /// Requests that are being answered.
    running: AtomicUsize,
    /// The requests among them that only wait for the peer.
    awaited: Awaited,
    /// The tick of the latest activity, or 0 before the first request.
    last: AtomicU32,
}

/// Advances the tick by a second.
pub(super) fn tick() {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

/// Returns the current tick.
pub(super) fn ticks() -> u32 {
    TICKS.load(Ordering::Relaxed)
}

impl Life {
    /// Records the start of a request.
    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.wrote();
    }

    /// Records that a request was answered.
    pub(super) fn end(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Records a write: a connection whose peer reads slowly is not idle.
    pub(super) fn wrote(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.last.store(ticks(), Ordering::Relaxed);
    }

    /// Returns a number that grows with every request and every write.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Returns the counter of requests that only wait for the peer.
    pub(super) fn awaited(&self) -> Awaited {
        self.awaited.clone()
    }

    /// Reports whether a request is being answered that does not only wait for the peer.
    pub(super) fn is_answering(&self) -> bool {
        self.running.load(Ordering::Relaxed) > self.awaited.count()
    }

    /// Returns the tick since which the connection is idle, or `None` while a request is being
    /// answered. Connections without any request sort first.
    pub(super) fn idle_since(&self) -> Option<u32> {
        (!self.is_answering()).then(|| self.last.load(Ordering::Relaxed))
    }
}
