//! The keys file: reads it, or creates it once.
//!
//! New keys are never created for a database that was used with other keys: every token would stop
//! working without any explanation. The caller that opens the file states whether such a database
//! can exist.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use authority::{
    entropy::Entropy,
    keys::{Keys, KeysError, completed},
};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

/// A keys file that contains keys, or that will contain the proposed ones.
#[derive(Debug)]
pub(crate) struct KeysFile {
    path: PathBuf,
    text: SecretString,
    unwritten: bool,
    exposed: bool,
}

/// What to do if the file does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingKeys {
    /// Create new keys, because no database exists yet.
    Make,
    /// Create new keys, but don't write them before the database is known to be unused. Several
    /// servers may share the file, so nothing is added to an existing file either.
    Propose,
    /// Fail, because a database exists.
    Refuse,
}

/// The reasons why the keys are not available.
#[derive(Debug, Error)]
pub(crate) enum KeysFileError {
    /// The file is missing although the database exists.
    #[error(
        "the keys file {} is missing, and the tokens of this database cannot be checked without it; \
         restore it from a backup, or pass its path with --keys-file",
        .0.display()
    )]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read the keys file {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// The file cannot be written.
    #[error("cannot write the keys file {}: {cause}", path.display())]
    Unwritable { path: PathBuf, cause: io::Error },
    /// Another process created different keys at the same time.
    #[error(
        "another server created the keys file {} at the same time; start this server again",
        .0.display()
    )]
    Overtaken(PathBuf),
    /// The file is not a keys file.
    #[error("{}: {cause}", path.display())]
    Invalid { path: PathBuf, cause: KeysError },
}

impl KeysFile {
    /// Reads the keys, or creates them.
    pub(crate) fn open(
        path: &Path,
        missing: MissingKeys,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeysFileError> {
        if missing != MissingKeys::Propose {
            complete(path, entropy)?;
        }
        if let Some(found) = Self::read(path)? {
            return Ok(found);
        }
        if missing == MissingKeys::Refuse {
            return Err(KeysFileError::Missing(path.to_owned()));
        }
        let text = Keys::generate(entropy).to_toml();
        let made = Self { path: path.to_owned(), text, unwritten: true, exposed: false };
        if missing == MissingKeys::Propose {
            return Ok(made);
        }
        match made.keep() {
            Ok(()) => Ok(Self { unwritten: false, ..made }),
            // The keys of the faster process are valid. These were not used for anything yet.
            Err(KeysFileError::Overtaken(path)) => {
                Self::read(&path)?.ok_or(KeysFileError::Missing(path))
            }
            Err(error) => Err(error),
        }
    }

    /// Parses the keys.
    pub(crate) fn keys(&self) -> Result<Keys, KeysFileError> {
        Keys::from_toml(self.text.expose_secret())
            .map_err(|cause| KeysFileError::Invalid { path: self.path.clone(), cause })
    }

    /// Reports whether users other than the file's owner can read it.
    pub(crate) const fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// Makes the file readable only to its owner if it is in Tessera's own data folder: mounting a
    /// volume may have made it readable to a group. Returns whether the mode was changed.
    pub(crate) fn make_private(&self, data_dir: &Path) -> bool {
        self.path.parent() == Some(data_dir)
            && fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600)).is_ok()
    }

    /// Reports whether the keys are only proposed; [`KeysFile::keep`] writes them.
    pub(crate) const fn is_unwritten(&self) -> bool {
        self.unwritten
    }

    /// Writes proposed keys.
    pub(crate) fn keep(&self) -> Result<(), KeysFileError> {
        if !self.unwritten {
            return Ok(());
        }
        match write_once(&self.path, self.text.expose_secret()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(KeysFileError::Overtaken(self.path.clone())),
            Err(cause) => Err(KeysFileError::Unwritable { path: self.path.clone(), cause }),
        }
    }

    fn read(path: &Path) -> Result<Option<Self>, KeysFileError> {
        let failed = |cause| KeysFileError::Unreadable { path: path.to_owned(), cause };
        let text = match fs::read_to_string(path) {
            Ok(text) => SecretString::from(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let exposed = fs::metadata(path).map_err(failed)?.mode() & 0o077 != 0;
        let file = Self { path: path.to_owned(), text, unwritten: false, exposed };
        file.keys()?;
        Ok(Some(file))
    }
}

/// Adds the kinds of keys that an older version did not write. Only a server that does not share
/// the file may do this: several servers would each add different keys.
fn complete(path: &Path, entropy: &dyn Entropy) -> Result<(), KeysFileError> {
    let Ok(text) = fs::read_to_string(path).map(SecretString::from) else { return Ok(()) };
    // The next read reports a malformed file.
    let Ok(Some(whole)) = completed(text.expose_secret(), entropy) else { return Ok(()) };
    let unwritable = |cause| KeysFileError::Unwritable { path: path.to_owned(), cause };
    replace(path, whole.expose_secret()).map_err(unwritable)
}

/// Replaces a file atomically. The new file has mode 0600.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let draft = write_draft(folder, text)?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()
}

fn write_draft(folder: &Path, text: &str) -> io::Result<PathBuf> {
    let draft = folder.join(format!(".keys-{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    Ok(draft)
}

/// Writes a new file with mode 0600, or returns `false` if the file already exists. Other processes
/// never see a partial file: it is written under another name and then linked, which fails if the
/// target exists.
fn write_once(path: &Path, text: &str) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let draft = write_draft(folder, text)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    }
    // Otherwise a power failure could lose the name although the content was written.
    fs::File::open(folder)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use authority::entropy::SystemEntropy;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn keys_are_created_once_with_private_mode() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        let made = KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap();
        assert!(!made.is_unwritten() && !made.is_exposed());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = KeysFile::open(&path, MissingKeys::Refuse, &SystemEntropy).unwrap();
        assert_eq!(again.text.expose_secret(), made.text.expose_secret());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_keys_beside_a_database_are_refused() {
        let path = Path::new("/nowhere/keys.toml");
        let error = KeysFile::open(path, MissingKeys::Refuse, &SystemEntropy).unwrap_err();
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
    }

    #[test]
    fn proposed_keys_are_unwritten_and_yield_to_an_existing_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        let proposed = KeysFile::open(&path, MissingKeys::Propose, &SystemEntropy).unwrap();
        assert!(proposed.is_unwritten() && !path.exists());
        let other = KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap();
        assert!(matches!(proposed.keep(), Err(KeysFileError::Overtaken(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), other.text.expose_secret());
    }

    #[test]
    fn readable_file_is_reported_as_exposed() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(KeysFile::open(&path, MissingKeys::Refuse, &SystemEntropy).unwrap().is_exposed());
    }

    #[test]
    fn older_file_is_completed_only_on_a_single_server() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let old = &whole[..whole.find("[[sealing]]").unwrap()];
        fs::write(&path, old).unwrap();
        let error = KeysFile::open(&path, MissingKeys::Propose, &SystemEntropy).unwrap_err();
        assert!(error.to_string().contains("[[sealing]]"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), old);
        KeysFile::open(&path, MissingKeys::Refuse, &SystemEntropy).unwrap().keys().unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with(old));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn invalid_file_is_named_in_the_error() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        fs::write(&path, "pepper = 3").unwrap();
        let error = KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap_err();
        assert!(error.to_string().contains("keys.toml: "), "{error}");
    }
}
