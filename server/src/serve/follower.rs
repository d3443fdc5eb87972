//! Follows the other replicas on a separate thread.
//!
//! This thread renews the lease that lets the server answer from memory. On the threads that answer
//! requests, the renewal would queue behind them: an overloaded server would lose its lease, query
//! the database for everything, and become even more overloaded.

use std::{io, thread};

use authority::Authority;
use tokio::{runtime, sync::oneshot, task::spawn_blocking};

/// The thread, which waits for [`Follower::begin`] and stops when this is dropped.
pub(super) struct Follower {
    begin: Option<oneshot::Sender<Authority>>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Follower {
    /// Starts a thread that will follow under this name.
    pub(super) fn new(name: String, version: &'static str) -> io::Result<Self> {
        let (begin, start) = oneshot::channel::<Authority>();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let follow = async move {
            if let Ok(authority) = start.await {
                authority.run_replica(name, version).await;
            }
        };
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = follow => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("follower".into()).spawn(run)?;
        Ok(Self { begin: Some(begin), stop, thread })
    }

    /// Starts following.
    pub(super) fn begin(&mut self, authority: Authority) {
        if let Some(begin) = self.begin.take() {
            // If the thread is gone, `stop` reports it.
            let _ = begin.send(authority);
        }
    }

    /// Stops the thread. Nothing is renewed afterwards.
    pub(super) async fn stop(self) {
        drop(self.stop);
        if !matches!(spawn_blocking(|| self.thread.join()).await, Ok(Ok(()))) {
            tracing::error!("the thread that follows the other replicas has panicked");
        }
    }
}
