//! The data folder: who may use it, and the file of the keys.
//!
//! ```text
//! data/
//!   keys.toml       the keys, 0600
//!   tessera.toml    configuration, when an administrator puts it there
//!   lock            held by the process that runs the embedded database
//!   postgres/       the embedded database, 0700
//!   postgres.log    what it says
//!   run/            its socket, 0700
//! ```
//! Only the embedded database needs the folder for itself. Servers that share an external database
//! read the keys from it and nothing more.

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

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// It cannot be made or looked at.
    #[error("cannot use the data folder {}: {cause}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Something else has its name.
    #[error("the data folder {} is not a folder", .0.display())]
    NotAFolder(PathBuf),
}

/// Makes the folder when there is none, and answers its path without links.
///
/// Its mode lets others pass through but not look: as root, the database runs as another user, whose
/// own folder lies below this one. Everything secret in here has a mode of its own.
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
            // The mode must not depend on the umask of whoever started the server.
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
    fn folder_is_made_with_its_parents_and_closed_to_lookers() {
        let root = TempDir::new().unwrap();
        let path = open(&root.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o711);
        assert_eq!(open(&path).unwrap(), path);
    }

    #[test]
    fn file_in_its_place_is_named() {
        let root = TempDir::new().unwrap();
        let path = root.path().join("data");
        fs::write(&path, "").unwrap();
        assert!(matches!(open(&path), Err(FolderError::NotAFolder(_))));
    }
}
