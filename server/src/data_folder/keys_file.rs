//! The file of the keys: read it, or make it once.
//!
//! Keys are never made anew beside a database that was used with others: every token would stop
//! working, with nothing to say why. Whoever opens the file says whether that could be so.

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

/// A keys file that holds keys, or will.
#[derive(Debug)]
pub(crate) struct KeysFile {
    path: PathBuf,
    text: SecretString,
    unwritten: bool,
    exposed: bool,
}

/// What to do when there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingKeys {
    /// Make new ones: there is no database yet.
    Make,
    /// Make new ones but do not write them before it is known that the database was never used. Other
    /// servers may have the same file, so nothing is added to it either.
    Propose,
    /// Refuse: there is a database.
    Refuse,
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub(crate) enum KeysFileError {
    /// The file is gone but the database is there.
    #[error(
        "the keys file {} is missing, and the tokens of this database cannot be checked without it; \
         put it back from a backup, or name it with --keys-file",
        .0.display()
    )]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read the keys file {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the keys file {}: {cause}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Another process made other keys at the same moment.
    #[error("another server made the keys file {} at this moment; start this one again", .0.display())]
    Overtaken(PathBuf),
    /// It is not a keys file.
    #[error("{}: {cause}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: KeysError,
    },
}

impl KeysFile {
    /// Reads the keys, or makes them.
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
            // Whoever was faster made the keys that count; nothing was done with these.
            Err(KeysFileError::Overtaken(path)) => {
                Self::read(&path)?.ok_or(KeysFileError::Missing(path))
            }
            Err(error) => Err(error),
        }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> Result<Keys, KeysFileError> {
        Keys::from_toml(self.text.expose_secret())
            .map_err(|cause| KeysFileError::Invalid { path: self.path.clone(), cause })
    }

    /// Whether others than its owner can read the file.
    pub(crate) const fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// Takes the right to read the file from others, when it lies in Tessera's own data folder: a volume may
    /// have given it to a group. Returns whether that worked.
    pub(crate) fn make_private(&self, data_dir: &Path) -> bool {
        self.path.parent() == Some(data_dir)
            && fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600)).is_ok()
    }

    /// Whether the keys are only proposed: [`KeysFile::keep`] writes them.
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

/// Adds the kinds of keys that an older version did not write. Only where one server alone has the
/// file: several would each add other keys.
fn complete(path: &Path, entropy: &dyn Entropy) -> Result<(), KeysFileError> {
    let Ok(text) = fs::read_to_string(path).map(SecretString::from) else { return Ok(()) };
    // A broken file is told of by whoever reads it next.
    let Ok(Some(whole)) = completed(text.expose_secret(), entropy) else { return Ok(()) };
    let unwritable = |cause| KeysFileError::Unwritable { path: path.to_owned(), cause };
    replace(path, whole.expose_secret()).map_err(unwritable)
}

/// Replaces a file by one with mode 0600; nobody ever sees half of it.
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

/// Writes a whole new file with mode 0600, or answers `false` when there is one already. Nobody ever
/// sees half of it: it is written under another name and then linked, which fails where a file is.
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
    // Without this, a power cut could lose the name although the content is safe.
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
    fn keys_are_made_once_and_private() {
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
        assert!(error.to_string().contains("put it back from a backup"), "{error}");
    }

    #[test]
    fn proposed_keys_are_not_written_and_give_way_to_those_of_a_faster_process() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        let proposed = KeysFile::open(&path, MissingKeys::Propose, &SystemEntropy).unwrap();
        assert!(proposed.is_unwritten() && !path.exists());
        let other = KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap();
        assert!(matches!(proposed.keep(), Err(KeysFileError::Overtaken(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), other.text.expose_secret());
    }

    #[test]
    fn file_that_others_can_read_is_noticed() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(KeysFile::open(&path, MissingKeys::Refuse, &SystemEntropy).unwrap().is_exposed());
    }

    #[test]
    fn file_of_an_older_version_gets_what_it_lacks_where_one_server_has_it() {
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
    fn broken_file_is_named() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        fs::write(&path, "pepper = 3").unwrap();
        let error = KeysFile::open(&path, MissingKeys::Make, &SystemEntropy).unwrap_err();
        assert!(error.to_string().contains("keys.toml: "), "{error}");
    }
}
