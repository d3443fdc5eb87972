//! `postmaster.pid`: the process that runs the database, the folder of its socket, and its status.
//!
//! When Tessera is killed, its postmaster keeps running. The next Tessera process shuts it down
//! cleanly before it starts its own, so that it always supervises its own child. The file alone
//! proves nothing: it may be stale, and another process may have its process ID by now.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::sleep;

use super::{POLL, PostgresError, cluster::Progress, folder::Folder};

/// How long an orphan may take for a fast shutdown.
const FAST: Duration = Duration::from_mins(1);
/// How long it may take for an immediate shutdown, after which the next start recovers.
const IMMEDIATE: Duration = Duration::from_secs(10);

/// The content of the file. Its lines are: process ID, folder, start time, port, socket folder,
/// address, memory, status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    /// The postmaster's process ID.
    pub(super) pid: i32,
    cluster: PathBuf,
    /// The folder of its socket.
    pub(super) socket: PathBuf,
    status: String,
}

/// Reads the file. Returns `None` if it does not exist or is still incomplete.
pub(super) fn read(cluster: &Path) -> Result<Option<PidFile>, PostgresError> {
    let path = cluster.join("postmaster.pid");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(PidFile::parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PostgresError::io("read", &path)(error)),
    }
}

impl PidFile {
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            pid: lines.first()?.parse().ok().filter(|pid| *pid > 1)?,
            cluster: lines.get(1)?.into(),
            socket: lines.get(4).filter(|socket| !socket.is_empty())?.into(),
            status: (*lines.get(7).unwrap_or(&"")).to_owned(),
        })
    }

    /// Reports whether the file says that the postmaster accepts connections.
    pub(super) fn is_ready(&self) -> bool {
        self.status == "ready"
    }

    /// Reports whether a process listens on the socket.
    pub(super) fn accepts(&self) -> bool {
        UnixStream::connect(self.socket.join(".s.PGSQL.5432")).is_ok()
    }

    /// Reports whether the process exists and is the postmaster of the database in this folder. In
    /// a copy of a running database's folder, the file names the postmaster of the original.
    fn lives_in(&self, cluster: &Path) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        // EPERM means that the process exists and belongs to another user.
        if matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)) {
            return false;
        }
        self.is_of(cluster)
            && (fs::metadata(format!("/proc/{}/cwd", self.pid)).is_ok() || self.accepts())
    }

    /// Reports whether the file belongs to the database in this folder. A postmaster's working
    /// directory is its database's folder, however that is mounted. If the working directory is not
    /// visible, the path in the file decides.
    pub(super) fn is_of(&self, cluster: &Path) -> bool {
        match fs::metadata(format!("/proc/{}/cwd", self.pid)) {
            Ok(found) => is_same(&found, cluster),
            Err(_) => fs::metadata(&self.cluster).is_ok_and(|found| is_same(&found, cluster)),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // The process may have just exited. The caller checks.
            let _ = kill_process(pid, signal);
        }
    }

    async fn ends_within(&self, patience: Duration, cluster: &Path) -> bool {
        for _ in 0..(patience.as_millis() / POLL.as_millis()) {
            if !self.lives_in(cluster) {
                return true;
            }
            sleep(POLL).await;
        }
        false
    }
}

/// Removes stale files whose process ID now belongs to another process or to a zombie. PostgreSQL
/// would take that process for its postmaster and never start. This is common in a container, where
/// every start reuses the same few IDs and orphans may not be reaped. `postmaster.pid` also leads
/// to shared memory that processes of a killed postmaster may still use, so the files stay while
/// any process works in the database's folder, or if that cannot be determined.
fn forget_misleading(folder: &Folder) -> Result<(), PostgresError> {
    let files = [folder.cluster.join("postmaster.pid"), folder.socket.join(".s.PGSQL.5432.lock")];
    for path in files {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        let exists = pid.and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_ok());
        if exists && !someone_works_in(&folder.cluster) {
            tracing::warn!(file = %path.display(), "removing a stale file");
            fs::remove_file(&path).map_err(PostgresError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Reports whether a process has this folder as its working directory. Returns `true` if that
/// cannot be determined.
fn someone_works_in(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return true };
    entries.flatten().any(|entry| {
        let is_process = entry.file_name().to_str().is_some_and(|name| name.parse::<i32>().is_ok());
        // An unreadable folder belongs to a process of another user, which does not run this
        // database.
        is_process && fs::metadata(entry.path().join("cwd")).is_ok_and(|cwd| is_same(&cwd, folder))
    })
}

fn is_same(found: &fs::Metadata, folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|other| (found.dev(), found.ino()) == (other.dev(), other.ino()))
}

/// Stops a postmaster that outlived its Tessera process. The caller holds the lock, so no other
/// process needs it.
pub(super) async fn stop_orphan(folder: &Folder, progress: &Progress) -> Result<(), PostgresError> {
    let found = match read(&folder.cluster)? {
        Some(found) if found.lives_in(&folder.cluster) => found,
        _ => return forget_misleading(folder),
    };
    progress(&format!(
        "Stopping PostgreSQL process {} that an earlier run of Tessera left behind",
        found.pid
    ));
    tracing::warn!(pid = found.pid, "stopping the PostgreSQL that an earlier run left behind");
    found.signal(Signal::INT);
    if found.ends_within(FAST, &folder.cluster).await {
        return Ok(());
    }
    found.signal(Signal::QUIT);
    if found.ends_within(IMMEDIATE, &folder.cluster).await {
        return Ok(());
    }
    Err(PostgresError::Stubborn { pid: found.pid })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str =
        "4711\n/data/postgres\n1700000000\n5432\n/data/run\n\n  1234  56\nready   \n";

    #[test]
    fn file_is_parsed_by_lines() {
        let found = PidFile::parse(TEXT).unwrap();
        assert_eq!((found.pid, found.socket.as_path()), (4711, Path::new("/data/run")));
        assert!(found.is_ready());
        let starting = PidFile::parse(&TEXT.replace("ready   ", "starting")).unwrap();
        assert!(!starting.is_ready());
        assert_eq!(PidFile::parse("4711\n/data/postgres\n"), None);
    }

    #[test]
    fn unrelated_process_is_not_the_postmaster() {
        let mut found = PidFile::parse(TEXT).unwrap();
        found.pid = std::process::id().try_into().unwrap();
        assert!(!found.lives_in(Path::new("/data/postgres")));
    }

    #[test]
    fn copied_file_does_not_describe_the_copied_cluster() {
        let root = tempfile::TempDir::new().unwrap();
        let copy = root.path().join("copy");
        fs::create_dir(&copy).unwrap();
        let mut found = PidFile::parse(TEXT).unwrap();
        // A live process that works elsewhere, as the postmaster of the original does.
        found.pid = std::process::id().try_into().unwrap();
        found.cluster = std::env::current_dir().unwrap();
        assert!(found.is_of(&found.cluster.clone()));
        assert!(!found.is_of(&copy));
        assert!(!found.lives_in(&copy));
    }

    proptest! {
        #[test]
        fn parsing_any_file_never_panics_or_returns_pid_1_or_a_group(text in any::<String>()) {
            if let Some(found) = PidFile::parse(&text) {
                prop_assert!(found.pid > 1);
            }
        }
    }
}
