//! Following the other replicas on a thread of its own.
//!
//! The lease that lets this server answer from memory is renewed there. On the threads that answer it
//! would wait its turn behind requests: a server with more to do than it can would lose its lease, ask the
//! database about everything, and have even more to do.

use std::{io, thread};

use authority::Authority;
use tokio::{runtime, sync::oneshot, task::spawn_blocking};

/// The thread, which waits to be told to begin. It ends when this is dropped.
pub(super) struct Follower {
    begin: Option<oneshot::Sender<Authority>>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Follower {
    /// A thread that will follow under this name.
    pub(super) fn new(name: String, version: &'static str) -> io::Result<Self> {
        let (begin, told) = oneshot::channel::<Authority>();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let follow = async move {
            if let Ok(authority) = told.await {
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

    /// Begins to follow.
    pub(super) fn begin(&mut self, authority: Authority) {
        if let Some(begin) = self.begin.take() {
            // A thread that is gone is noticed when it is stopped.
            let _ = begin.send(authority);
        }
    }

    /// Ends: from then on nothing is renewed.
    pub(super) async fn stop(self) {
        drop(self.stop);
        if !matches!(spawn_blocking(|| self.thread.join()).await, Ok(Ok(()))) {
            tracing::error!("the thread that follows the other replicas has panicked");
        }
    }
}
