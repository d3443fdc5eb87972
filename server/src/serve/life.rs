//! What happens on a connection, for those who look at it from outside: its own timer, and whoever needs
//! its place.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::http::awaited::Awaited;

/// Ticks of about a second. Only their order matters: a request must not ask the clock for this.
static TICKS: AtomicU32 = AtomicU32::new(1);

/// What happens on a connection.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Counts requests that began, and writes.
    progress: AtomicU64,
    /// Requests that are being answered.
    running: AtomicUsize,
    /// Those of them that only wait for the peer.
    awaited: Awaited,
    /// The tick of the last thing that happened; 0 while there was no request.
    last: AtomicU32,
}

/// Lets a second pass.
pub(super) fn tick() {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

/// Returns the number of this second.
pub(super) fn ticks() -> u32 {
    TICKS.load(Ordering::Relaxed)
}

impl Life {
    /// A request began.
    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.wrote();
    }

    /// A request was answered.
    pub(super) fn end(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Something was sent: a peer that reads slowly does not rest.
    pub(super) fn wrote(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.last.store(ticks(), Ordering::Relaxed);
    }

    /// Grows with every request and every write.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Counts the requests that only wait for the peer.
    pub(super) fn awaited(&self) -> Awaited {
        self.awaited.clone()
    }

    /// Whether a request is being answered, and does not only wait for the peer.
    pub(super) fn is_answering(&self) -> bool {
        self.running.load(Ordering::Relaxed) > self.awaited.count()
    }

    /// Since when nothing has happened; `None` while a request is being answered. Connections without a
    /// request come first.
    pub(super) fn idle_since(&self) -> Option<u32> {
        (!self.is_answering()).then(|| self.last.load(Ordering::Relaxed))
    }
}
