//! Results that took long, kept under the hash of what they were made from.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The SHA-256 of several pieces of content, in hexadecimal. Lengths go in too, so that no two
/// lists of pieces look alike.
pub(crate) fn hash(pieces: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update((piece.len() as u64).to_le_bytes());
        hasher.update(piece);
    }
    hex::encode(hasher.finalize())
}

/// A folder of results. What was not asked for during a run is removed at its end, so that the
/// folder holds one site's worth.
pub(crate) struct Cache {
    folder: PathBuf,
    used: BTreeSet<String>,
}

impl Cache {
    /// Opens the folder, which need not exist.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
        Ok(Self { folder, used: BTreeSet::new() })
    }

    /// The result under this key; made and kept when it is not there.
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
        // Under its name only once complete: an interrupted run must not leave half a result.
        let partial = self.folder.join(format!("{key}.partial"));
        fs::write(&partial, &content)?;
        fs::rename(&partial, &path)?;
        Ok(content)
    }

    /// Removes what nobody asked for.
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
    fn hash_of_other_pieces_differs() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[b"ab"]).len(), 64);
    }

    #[test]
    fn result_is_made_once_and_pruned_when_unused() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Cache::open(folder.path().to_owned()).unwrap();

        let mut first = open();
        assert_eq!(first.get("k", || Ok(b"v".to_vec())).unwrap(), b"v");
        first.prune().unwrap();

        let mut second = open();
        assert_eq!(second.get("k", || panic!("made again")).unwrap(), b"v");
        second.prune().unwrap();

        open().prune().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
