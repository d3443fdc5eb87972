//! The data folder: its lock, and the keys file.
//!
//! ```text
//! data/
//!   keys.toml       the keys, 0600
//!   tessera.toml    configuration, if an administrator puts it there
//!   lock            held by the process that runs the embedded database
//!   postgres/       the embedded database, 0700
//!   postgres.log    its log
//!   run/            its socket, 0700
//! ```
//!
//! Only the embedded database needs exclusive use of the folder. Servers that share an external
//! database only read the keys from it.

mod keys_file;
mod lock;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

pub(crate) use self::{
    keys_file::{KeysFile, KeysFileError, MissingKeys},
    lock::{Holder, Lock, LockError, Use},
};

/// The reasons why the folder cannot be used.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// The folder cannot be created or read.
    #[error("cannot use the data folder {}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    /// The path exists and is not a folder.
    #[error("the data folder {} is not a folder", .0.display())]
    NotAFolder(PathBuf),
}

/// Creates the folder if it does not exist, and returns its path without symbolic links.
///
/// Its mode lets other users traverse it but not list it: when Tessera runs as root, the database
/// runs as another user, whose own folder is inside this one. Every secret file in it has its own
/// mode.
pub(crate) fn open(path: &Path) -> Result<PathBuf, FolderError> {
    let failed = |cause| FolderError::Io { path: path.to_owned(), cause };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(FolderError::NotAFolder(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            match fs::DirBuilder::new().mode(0o711).create(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => {}
            }
            // The mode must not depend on the umask of the process that started the server.
            fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    path.canonicalize().map_err(failed)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn folder_is_created_with_parents_and_cannot_be_listed() {
        let root = TempDir::new().unwrap();
        let path = open(&root.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o711);
        assert_eq!(open(&path).unwrap(), path);
    }

    #[test]
    fn file_in_place_of_the_folder_is_an_error() {
        let root = TempDir::new().unwrap();
        let path = root.path().join("data");
        fs::write(&path, "").unwrap();
        assert!(matches!(open(&path), Err(FolderError::NotAFolder(_))));
    }
}
