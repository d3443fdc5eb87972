//! Signals that stop the server, and the drain notice for its connections.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// SIGTERM, SIGINT and SIGHUP, all of which stop the server gracefully. A closing terminal sends
/// SIGHUP, whose default action would leave the embedded database running.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    drain: watch::Sender<bool>,
}

/// A receiver that resolves when draining begins.
#[derive(Clone, Debug)]
pub(super) struct Drain(watch::Receiver<bool>);

impl Signals {
    /// Catches the signals from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            drain: watch::Sender::new(false),
        })
    }

    /// Waits for the next signal and returns its name.
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
    /// Waits until draining begins. A dropped sender means the same.
    pub(super) async fn begun(&mut self) {
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Reports whether draining has begun since this receiver was created.
    pub(super) fn has_begun(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }
}
