//! The location of the repository.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The repository's root folder.
pub(crate) struct Root(PathBuf);

impl Root {
    /// Finds the repository from the crate's folder, which `cargo run` provides, or from the
    /// current folder.
    pub(crate) fn find() -> Result<Self> {
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => env::current_dir()?,
        };
        Self::above(&start)
    }

    /// Finds the repository's folder among `start` and the folders above it.
    pub(crate) fn above(start: &Path) -> Result<Self> {
        start
            .ancestors()
            .find(|folder| folder.join("frontend/loader.js").is_file())
            .map(|folder| Self(folder.to_owned()))
            .with_context(|| format!("{} is not inside the repository", start.display()))
    }

    /// Returns a path below the repository's folder.
    pub(crate) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// Reads a file below the repository's folder.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(self.join(path)).with_context(|| format!("{path} cannot be read"))
    }
}
