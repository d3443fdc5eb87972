//! A cache of slow results, stored under the hash of their input.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Returns the SHA-256 of several pieces of content, in hexadecimal. Hashes their lengths too, so
/// that different lists of pieces never form the same input.
pub(crate) fn hash(pieces: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update((piece.len() as u64).to_le_bytes());
        hasher.update(piece);
    }
    hex::encode(hasher.finalize())
}

/// A folder of results. At the end of a run, results that the run did not use are removed, so that
/// the folder holds the results of one site.
pub(crate) struct Cache {
    folder: PathBuf,
    used: BTreeSet<String>,
}

impl Cache {
    /// Opens the folder. Creates it if necessary.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
        Ok(Self { folder, used: BTreeSet::new() })
    }

    /// Returns the result for this key. Creates and stores it if it is missing.
    pub(crate) fn get(
        &mut self,
        key: &str,
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        self.used.insert(key.to_owned());
        let path = self.folder.join(key);
        if let Ok(content) = fs::read(&path) {
            return Ok(content);
        }
        let content = make()?;
        // The file gets its name only once it is complete, so that an interrupted run does not
        // leave a partial result.
        let partial = self.folder.join(format!("{key}.partial"));
        fs::write(&partial, &content)?;
        fs::rename(&partial, &path)?;
        Ok(content)
    }

    /// Removes the results that this run did not use.
    pub(crate) fn prune(self) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !self.used.contains(&*entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_how_content_is_split() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[b"ab"]).len(), 64);
    }

    #[test]
    fn result_is_computed_once_and_pruned_when_unused() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Cache::open(folder.path().to_owned()).unwrap();

        let mut first = open();
        assert_eq!(first.get("k", || Ok(b"v".to_vec())).unwrap(), b"v");
        first.prune().unwrap();

        let mut second = open();
        assert_eq!(second.get("k", || panic!("computed again")).unwrap(), b"v");
        second.prune().unwrap();

        open().prune().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
