//! Supervises the database while Tessera serves, and restarts it when it dies.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use super::{
    Embedded,
    cluster::Progress,
    pidfile,
    process::{Haste, Process},
};

/// The pause before the second attempt. It doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A supervised database.
#[derive(Debug)]
pub(crate) struct Running {
    stop: oneshot::Sender<Haste>,
    task: JoinHandle<()>,
}

impl Running {
    /// Supervises a process that was started.
    pub(super) fn watch(embedded: Embedded, process: Process) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(supervise(embedded, process, stopped)) }
    }

    /// Stops the database cleanly and waits until it has exited.
    pub(crate) async fn stop(self) {
        self.end(Haste::Fast).await;
    }

    /// Stops the database at once. Its next start recovers.
    pub(crate) async fn abandon(self) {
        self.end(Haste::Immediate).await;
    }

    async fn end(self, haste: Haste) {
        // The receiver is dropped only when the task has ended.
        let _ = self.stop.send(haste);
        let _ = self.task.await;
    }
}

async fn supervise(embedded: Embedded, mut process: Process, mut stop: oneshot::Receiver<Haste>) {
    loop {
        tokio::select! {
            status = process.wait() => {
                let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
                tracing::error!(%status, "PostgreSQL exited; restarting it");
            }
            haste = &mut stop => {
                process.stop(haste.unwrap_or(Haste::Fast)).await;
                return;
            }
        }
        process = tokio::select! {
            again = restart(&embedded) => again,
            // Dropping the attempt stops any process that it has started.
            _ = &mut stop => return,
        };
    }
}

/// Retries until PostgreSQL runs. Right after a kill, processes of the old one may still hold its
/// memory.
async fn restart(embedded: &Embedded) -> Process {
    let quiet: Progress = Arc::new(|line| tracing::info!("{line}"));
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = async {
            pidfile::stop_orphan(&embedded.folder, &quiet).await?;
            Process::start(embedded, &quiet).await
        };
        match attempt.await {
            Ok(process) => {
                tracing::info!("PostgreSQL is running again");
                return process;
            }
            Err(error) => tracing::error!(%error, "PostgreSQL did not start; retrying"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
