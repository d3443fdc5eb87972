//! The paths of the embedded database's files and its socket.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{PostgresError, account::Account};

/// A socket's path may have up to 103 bytes on macOS and 107 on Linux.
const LONGEST_SOCKET_PATH: usize = 103;
const SOCKET_NAME: &str = "/.s.PGSQL.5432";

/// The paths of the embedded database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// The database's own folder (`PGDATA`).
    pub(super) cluster: PathBuf,
    /// The folder of the socket.
    pub(super) socket: PathBuf,
    /// PostgreSQL's log.
    pub(super) log: PathBuf,
}

/// Returns the database's own folder in a data folder.
pub(super) fn cluster_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}

impl Folder {
    /// Returns the paths for this data folder, which must be absolute.
    pub(super) fn at(data_dir: &Path, account: &Account) -> Self {
        Self {
            cluster: cluster_dir(data_dir),
            socket: socket_folder(data_dir, account.uid),
            log: data_dir.join("postgres.log"),
        }
    }

    /// Reports whether the database exists.
    pub(super) fn is_made(&self) -> bool {
        self.cluster.join("PG_VERSION").exists()
    }

    /// Returns the database's folder and the major version of PostgreSQL that created it, or `None`
    /// if there is no database.
    pub(super) fn version(&self) -> Result<Option<(PathBuf, u32)>, PostgresError> {
        let path = self.cluster.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().split('.').next().and_then(|major| major.parse().ok()) {
                Some(version) => Ok(Some((self.cluster.clone(), version))),
                None => Err(self.strange("its PG_VERSION is not a number")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.cluster.exists() => {
                Err(self.strange("it has no PG_VERSION; move it away to start over"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PostgresError::io("read", &path)(error)),
        }
    }

    /// Creates the socket's folder, private to the database's user.
    pub(super) fn make(&self, account: &Account) -> Result<(), PostgresError> {
        match fs::DirBuilder::new().mode(0o700).create(&self.socket) {
            Ok(()) => return account.own(&self.socket),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(PostgresError::io("create the folder", &self.socket)(error)),
        }
        // Below /tmp, any user could have created a folder or a link with this name.
        let found = fs::symlink_metadata(&self.socket)
            .map_err(PostgresError::io("inspect", &self.socket))?;
        let root_left_it =
            account.uid != found.uid() && found.uid() == rustix::process::geteuid().as_raw();
        if !found.is_dir() || !(root_left_it || found.uid() == account.uid) {
            return Err(PostgresError::ForeignFolder(self.socket.clone()));
        }
        make_private(&self.socket, found.mode())?;
        if root_left_it {
            // The process ended after it created the folder and before it changed the owner.
            return account.own(&self.socket);
        }
        Ok(())
    }

    /// Removes permissions that a volume gave to others. Kubernetes' `fsGroup` makes every file and
    /// folder writable for the group, and PostgreSQL refuses to start with such a folder.
    pub(super) fn repair(&self, account: &Account) -> Result<(), PostgresError> {
        let found = fs::symlink_metadata(&self.cluster)
            .map_err(PostgresError::io("inspect", &self.cluster))?;
        if found.is_dir() && found.uid() == account.uid {
            make_private(&self.cluster, found.mode())?;
        }
        Ok(())
    }

    fn strange(&self, reason: &str) -> PostgresError {
        PostgresError::NotACluster { folder: self.cluster.clone(), reason: reason.to_owned() }
    }
}

/// Makes one of Tessera's own folders accessible only to its owner.
fn make_private(folder: &Path, mode: u32) -> Result<(), PostgresError> {
    let is_open = mode & 0o077 != 0;
    if !is_open {
        return Ok(());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(PostgresError::io("change the mode of", folder))?;
    tracing::warn!(
        folder = %folder.display(),
        mode = format!("{:o}", mode & 0o7777),
        "other users could enter this folder; its mode was reset to 700"
    );
    Ok(())
}

/// Returns a folder in the data folder, or below /tmp if that path would be too long. It is not
/// below `XDG_RUNTIME_DIR`, which is removed when the user logs out although the server may keep
/// running.
fn socket_folder(data_dir: &Path, uid: u32) -> PathBuf {
    let beside = data_dir.join("run");
    if beside.as_os_str().len() + SOCKET_NAME.len() <= LONGEST_SOCKET_PATH {
        return beside;
    }
    let name = fnv(data_dir.as_os_str().as_encoded_bytes());
    PathBuf::from(format!("/tmp/tessera-{uid}-{name:016x}"))
}

/// Computes the FNV-1a hash. It only distinguishes data folders; the folder's owner and mode
/// protect it.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn folder(root: &Path) -> (Folder, Account) {
        let account = Account::choose().unwrap();
        (Folder::at(root, &account), account)
    }

    #[test]
    fn version_is_none_without_a_database_and_an_error_for_other_folders() {
        let root = TempDir::new().unwrap();
        let (folder, _) = folder(root.path());
        assert_eq!(folder.version().unwrap(), None);
        fs::create_dir(&folder.cluster).unwrap();
        assert!(matches!(folder.version(), Err(PostgresError::NotACluster { .. })));
        fs::write(folder.cluster.join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(folder.version().unwrap().unwrap().1, 15);
        fs::write(folder.cluster.join("PG_VERSION"), "new\n").unwrap();
        assert!(folder.version().is_err());
    }

    #[test]
    fn socket_folder_is_private_and_created_once() {
        let root = TempDir::new().unwrap();
        let (folder, account) = folder(root.path());
        folder.make(&account).unwrap();
        folder.make(&account).unwrap();
        let found = fs::metadata(&folder.socket).unwrap();
        assert_eq!((found.mode() & 0o777, found.uid()), (0o700, account.uid));
    }

    #[test]
    fn modes_widened_by_a_volume_are_restored() {
        let root = TempDir::new().unwrap();
        let (folder, account) = folder(root.path());
        for path in [&folder.socket, &folder.cluster] {
            fs::create_dir(path).unwrap();
            account.own(path).unwrap();
            // This is what fsGroup does: g+rwX on everything, and the set-group-ID bit on folders.
            fs::set_permissions(path, fs::Permissions::from_mode(0o2770)).unwrap();
        }
        folder.make(&account).unwrap();
        folder.repair(&account).unwrap();
        for path in [&folder.socket, &folder.cluster] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn foreign_folder_or_symlink_is_refused_as_socket_folder() {
        let root = TempDir::new().unwrap();
        let (folder, account) = folder(root.path());
        if rustix::process::geteuid().is_root() {
            fs::create_dir(&folder.socket).unwrap();
            std::os::unix::fs::chown(&folder.socket, Some(4_000_000), None).unwrap();
            assert!(matches!(folder.make(&account), Err(PostgresError::ForeignFolder(_))));
            fs::remove_dir(&folder.socket).unwrap();
        }
        symlink(root.path(), &folder.socket).unwrap();
        assert!(matches!(folder.make(&account), Err(PostgresError::ForeignFolder(_))));
    }

    proptest! {
        #[test]
        fn socket_path_always_fits(name in "[a-z/]{0,300}") {
            let socket = socket_folder(Path::new(&format!("/{name}")), u32::MAX);
            prop_assert!(socket.as_os_str().len() + SOCKET_NAME.len() <= LONGEST_SOCKET_PATH);
        }
    }
}
