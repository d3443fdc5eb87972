//! One run of `postgres`: start, readiness, stop.
//!
//! The access rules trust every client that reaches the socket, and only root and the database's
//! own user can enter the folder around it (0700). Both could read the database's files directly,
//! or stop Tessera and start their own server on them, so a password would protect nothing and
//! would have to be stored next to the files. `peer` authentication checks the same user, and fails
//! if the user ID has no name, as in many containers.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{
    Embedded, POLL, PostgresError,
    cluster::{self, Progress},
    pidfile,
};

/// Above this size, a new log is started. The previous one is kept.
const LARGEST_LOG: u64 = 16 * 1024 * 1024;
/// How long a start may take before a message for people is printed.
const QUIET: Duration = Duration::from_secs(3);
/// How long a fast shutdown may take.
const FAST: Duration = Duration::from_secs(30);
/// How long an immediate shutdown may take.
const IMMEDIATE: Duration = Duration::from_secs(5);

/// A shutdown mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Ends sessions and writes everything.
    Fast,
    /// Aborts everything. The next start recovers.
    Immediate,
}

/// A running postmaster. If it is dropped without [`Process::stop`], it is sent a signal to stop,
/// without waiting.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Starts PostgreSQL and waits until it accepts connections, however long its recovery takes.
    pub(super) async fn start(
        embedded: &Embedded,
        progress: &Progress,
    ) -> Result<Self, PostgresError> {
        let Embedded { binaries, account, folder, max_connections } = embedded;
        let (log, begins) = open_log(&folder.log)?;
        let twin = log.try_clone().map_err(PostgresError::io("write", &folder.log))?;
        let mut command = cluster::command(binaries, "postgres", account);
        command.arg("-D").arg(&folder.cluster);
        for (name, value) in settings(&folder.socket, *max_connections) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stdout(log).stderr(twin);
        let program = binaries.program("postgres");
        let child = Command::from(command).spawn().map_err(PostgresError::io("run", &program))?;
        let mut process = Self { child };
        let started = Instant::now();
        let mut told = false;
        loop {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(PostgresError::Ended {
                    said: last_words(&folder.log, begins, status),
                    log: folder.log.clone(),
                });
            }
            let own = process.pid();
            if pidfile::read(&folder.cluster)?
                .is_some_and(|found| Some(found.pid) == own && found.is_ready())
            {
                return Ok(process);
            }
            if !told && started.elapsed() > QUIET {
                progress("Waiting for PostgreSQL to recover from an unclean shutdown");
                told = true;
            }
            sleep(POLL).await;
        }
    }

    /// Waits until the process exits by itself.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }

    /// Returns the process ID while the process runs.
    pub(super) fn pid(&self) -> Option<i32> {
        self.child.id().and_then(|pid| i32::try_from(pid).ok())
    }

    /// Stops the process and waits until it has exited.
    pub(super) async fn stop(&mut self, haste: Haste) {
        if haste == Haste::Fast {
            self.signal(Signal::INT);
            if timeout(FAST, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(
                "PostgreSQL did not stop in time and is shut down immediately; its next start will \
                 recover"
            );
        }
        self.signal(Signal::QUIT);
        if timeout(IMMEDIATE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::INT);
        }
    }
}

/// Returns the settings that take precedence over the database's own files.
fn settings(socket: &Path, max_connections: u32) -> Vec<(&'static str, String)> {
    // The setting is a list, and a quoted item may contain any character.
    let socket = format!("\"{}\"", socket.to_string_lossy().replace('"', "\"\""));
    let fixed = [
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("port", "5432"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("password_encryption", "scram-sha-256"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_line_prefix", "%m [%p] "),
        // Don't log statements or row values: they are users' data.
        ("log_statement", "none"),
        ("log_error_verbosity", "terse"),
        ("log_min_error_statement", "panic"),
        ("log_checkpoints", "off"),
    ];
    let mut settings: Vec<_> = fixed.map(|(name, value)| (name, value.to_owned())).into();
    settings.push(("unix_socket_directories", socket));
    settings.push(("max_connections", max_connections.to_string()));
    settings
}

/// Opens the log for appending. Also returns the position where new lines begin.
fn open_log(path: &Path) -> Result<(File, u64), PostgresError> {
    if fs::metadata(path).is_ok_and(|found| found.len() > LARGEST_LOG) {
        fs::rename(path, path.with_extension("log.1"))
            .map_err(PostgresError::io("rename", path))?;
    }
    let failed = PostgresError::io("write", path);
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened
        .and_then(|file| Ok((file.metadata()?.len(), file)))
        .map(|(end, file)| (file, end))
        .map_err(failed)
}

/// Returns why PostgreSQL exited, in its own words.
fn last_words(log: &Path, begins: u64, status: ExitStatus) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(begins))?;
        file.read_to_end(&mut bytes)
    });
    let text = String::from_utf8_lossy(&bytes);
    let telling =
        text.lines().rev().find(|line| line.contains("FATAL:") || line.contains("PANIC:"));
    match (read, telling.or_else(|| text.lines().next_back())) {
        (Ok(_), Some(line)) => {
            line.split_once("] ").map_or(line, |(_, said)| said).trim().to_owned()
        }
        _ => format!("{status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_make_the_database_private_and_durable() {
        let settings = settings(Path::new("/a b/\"c\""), 40);
        for (name, value) in [
            ("listen_addresses", ""),
            ("fsync", "on"),
            ("unix_socket_directories", r#""/a b/""c""""#),
            ("max_connections", "40"),
        ] {
            assert!(settings.contains(&(name, value.to_owned())), "{name}");
        }
    }

    #[test]
    fn oversized_log_is_rotated() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("postgres.log");
        File::create(&path).unwrap().set_len(LARGEST_LOG + 1).unwrap();
        let (_, begins) = open_log(&path).unwrap();
        assert_eq!(begins, 0);
        assert!(folder.path().join("postgres.log.1").exists());
    }
}
