//! Signals that end the server, and the word to drain that goes to its connections.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// SIGTERM, SIGINT and SIGHUP: all mean "stop in good order". A terminal that is closed sends SIGHUP,
/// whose default would leave the embedded database behind.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    drain: watch::Sender<bool>,
}

/// Resolves when draining begins.
#[derive(Clone, Debug)]
pub(super) struct Drain(watch::Receiver<bool>);

impl Signals {
    /// Catches them from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            drain: watch::Sender::new(false),
        })
    }

    /// The next one's name.
    pub(crate) async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }

    pub(super) fn drain(&self) -> Drain {
        Drain(self.drain.subscribe())
    }

    pub(super) fn begin_drain(&self) {
        self.drain.send_replace(true);
    }
}

impl Drain {
    /// Waits for it. A sender that is gone means it as well.
    pub(super) async fn begun(&mut self) {
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Whether it has, since this was made.
    pub(super) fn has_begun(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }
}
