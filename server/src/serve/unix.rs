//! The Unix socket, for programs on the same machine that should not use the network.
//!
//! Every process that may open the file is accepted, so the mode of the file is the only
//! protection: 0660. Nothing can connect before the file has that mode, because the socket listens
//! only afterwards. A socket that a dead server left behind is replaced. A socket with a listener,
//! or a file that is not a socket, stays untouched. The check and the replacement happen under a
//! lock on the folder, so that if two servers start at once, one of them is refused.

use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use thiserror::Error;
use tokio::{
    net::{UnixListener, UnixSocket},
    time::{sleep, timeout},
};

/// Read and write for owner and group.
const MODE: u32 = 0o660;
/// The mode until the socket listens.
const MODE_BEFORE: Mode = Mode::from_raw_mode(0o600);
/// The queue of connections to accept. The system has its own limit.
const BACKLOG: u32 = 1_024;
/// How long to wait for the lock on the folder, which processes hold only for moments.
const STEP: Duration = Duration::from_millis(20);
const STEPS: u32 = 250;
/// A listener that accepts no connection for this long is busy but alive.
const PATIENCE: Duration = Duration::from_secs(1);

/// The reason why the server cannot listen on the socket.
#[derive(Debug, Error)]
#[error("cannot listen on unix:{}: {reason}", path.display())]
pub(crate) struct UnixError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, Error)]
enum Reason {
    #[error(
        "another program listens on it; stop that program, or choose another path with \
         --listen-unix"
    )]
    Live,
    #[error("the file exists and is not a socket; remove it, or choose another path")]
    NoSocket,
    #[error("the folder {} does not exist", .0.display())]
    NoFolder(PathBuf),
    #[error("another program holds a lock on the folder {}", .0.display())]
    Locked(PathBuf),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A listening socket and its file.
#[derive(Debug)]
pub(super) struct UnixDoor {
    // Dropped first: while the socket is open, no other file can get its inode number.
    file: SocketFile,
    listener: UnixListener,
}

/// The socket's file, which is removed when dropped, unless another file has replaced it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    number: u64,
}

impl UnixDoor {
    /// Listens on this absolute path.
    pub(super) async fn open(path: &Path) -> Result<Self, UnixError> {
        let failed = |reason| UnixError { path: path.to_owned(), reason };
        let folder = path.parent().unwrap_or(Path::new("/"));
        let _lock = lock(folder).await.map_err(failed)?;
        remove_stale(path).await.map_err(failed)?;
        bind(path).map_err(|error| failed(error.into()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    pub(super) const fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl SocketFile {
    fn is(&self, found: &Metadata) -> bool {
        (found.dev(), found.ino()) == (self.device, self.number)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Best effort: another server may be checking the file right now.
        let _lock = self.path.parent().and_then(|folder| try_lock(folder).ok());
        if fs::symlink_metadata(&self.path).is_ok_and(|found| self.is(&found)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixDoor> {
    let socket = UnixSocket::new_stream()?;
    // On Linux, the file gets this mode. Elsewhere the call fails and is not needed, because
    // nothing can connect to a socket that does not listen.
    let _ = fchmod(&socket, MODE_BEFORE);
    socket.bind(path)?;
    let found = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), device: found.dev(), number: found.ino() };
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok(UnixDoor { file, listener: socket.listen(BACKLOG)? })
}

/// Removes the socket of a dead server, and nothing else.
async fn remove_stale(path: &Path) -> Result<(), Reason> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !found.file_type().is_socket() {
        return Err(Reason::NoSocket);
    }
    match timeout(PATIENCE, UnixSocket::new_stream()?.connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(fs::remove_file(path)?)
        }
        Ok(Ok(_)) | Err(_) => Err(Reason::Live),
        // The queue is full, so there is a listener.
        Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Err(Reason::Live),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// Locks a folder against other servers that check sockets in it.
async fn lock(folder: &Path) -> Result<File, Reason> {
    for _ in 0..STEPS {
        match try_lock(folder) {
            Ok(lock) => return Ok(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(STEP).await,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Reason::NoFolder(folder.to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Reason::Locked(folder.to_owned()))
}

fn try_lock(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener as StdListener, UnixStream};

    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    async fn refused(path: &Path) -> String {
        let message = UnixDoor::open(path).await.unwrap_err().to_string();
        assert!(message.starts_with(&format!("cannot listen on unix:{}: ", path.display())));
        message
    }

    #[tokio::test]
    async fn only_owner_and_group_can_connect() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        let door = UnixDoor::open(&path).await.unwrap();
        assert_eq!(mode(&path), 0o660);
        UnixStream::connect(&path).unwrap();
        drop(door);
        assert!(!path.exists());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn socket_file_is_private_until_it_listens() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        let socket = UnixSocket::new_stream().unwrap();
        fchmod(&socket, MODE_BEFORE).unwrap();
        socket.bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        let error = UnixStream::connect(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn socket_of_a_dead_server_is_replaced() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        drop(StdListener::bind(&path).unwrap());
        let _door = UnixDoor::open(&path).await.unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn live_sockets_and_other_files_are_kept() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        let listener = StdListener::bind(&path).unwrap();
        assert!(refused(&path).await.contains("another program listens on it"));
        UnixStream::connect(&path).unwrap();
        drop(listener);
        for file in ["file", "folder", "link"] {
            let path = folder.path().join(file);
            match file {
                "file" => fs::write(&path, "precious").unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                _ => std::os::unix::fs::symlink("s", &path).unwrap(),
            }
            assert!(refused(&path).await.contains("is not a socket"), "{file}");
            assert!(fs::symlink_metadata(&path).is_ok(), "{file}");
        }
        let nowhere = folder.path().join("nowhere/s");
        assert!(refused(&nowhere).await.contains("nowhere does not exist"));
    }

    #[tokio::test]
    async fn concurrent_servers_do_not_share_a_socket() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        drop(StdListener::bind(&path).unwrap());
        let (one, two) = tokio::join!(UnixDoor::open(&path), UnixDoor::open(&path));
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
    }

    #[tokio::test]
    async fn replaced_socket_file_is_not_removed() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        let door = UnixDoor::open(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        let other = UnixDoor::open(&path).await.unwrap();
        drop(door);
        UnixStream::connect(other.path()).unwrap();
    }
}
