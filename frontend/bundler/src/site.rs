//! The folder that the server embeds.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{cache::hash, progress::Progress, root::Root};

/// The number of hexadecimal digits of the hash in a name: 64 bits, which makes a chance
/// collision negligible.
const HASH_DIGITS: usize = 16;

/// The maximum size of a first load of the console, in brotli bytes.
const BUDGET: usize = 300_000;

/// The files of the site by their paths in it.
#[derive(Default)]
pub(crate) struct Site {
    files: BTreeMap<String, Vec<u8>>,
    /// Maps a role in the page (`js`, `wasm`, `css`, `loader`) to its address.
    manifest: BTreeMap<&'static str, String>,
}

impl Site {
    /// Adds a file under its own name.
    pub(crate) fn add(&mut self, path: String, content: Vec<u8>) {
        self.files.insert(path, content);
    }

    /// Adds a file under a name that contains the hash of its content, and adds its address to
    /// the manifest.
    pub(crate) fn add_hashed(&mut self, role: &'static str, name: &str, content: Vec<u8>) {
        let hash = hash(&[&content]);
        let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
        let path = format!("assets/{stem}-{}.{ending}", &hash[..HASH_DIGITS]);
        self.manifest.insert(role, format!("/{path}"));
        self.add(path, content);
    }

    /// Adds all files below a folder under their own names. A missing folder counts as empty.
    pub(crate) fn add_folder(&mut self, folder: &Path) -> Result<()> {
        for (path, content) in read_folder(folder)? {
            self.add(path, content);
        }
        Ok(())
    }

    /// Returns paths and contents, sorted by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// Reports the size of the files that every page loads.
    pub(crate) fn report(&self, progress: &Progress) {
        let mut total = 0;
        for (role, address) in &self.manifest {
            let path = address.trim_start_matches('/');
            let plain = self.files.get(path).map_or(0, Vec::len);
            let sent = self.files.get(&format!("{path}.br")).map_or(plain, Vec::len);
            total += sent;
            progress.say(role, &format!("{address}  {plain} B, brotli {sent} B"));
        }
        let verdict = if total > BUDGET { "over" } else { "within" };
        progress.say("weight", &format!("{total} B by brotli, {verdict} {BUDGET} B"));
    }

    /// Installs the site as `target/site`. Returns `false` if the same site is installed already.
    pub(crate) fn install(mut self, root: &Root) -> Result<bool> {
        let manifest = serde_json::to_vec_pretty(&self.manifest)?;
        self.add("manifest.json".to_owned(), manifest);

        let target = root.join("target/site");
        if read_folder(&target).is_ok_and(|present| present == self.files) {
            return Ok(false);
        }
        let fresh = root.join("target/site.new");
        let old = root.join("target/site.old");
        remove_folder(&fresh)?;
        remove_folder(&old)?;
        for (path, content) in &self.files {
            let path = fresh.join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, content).with_context(|| path.display().to_string())?;
        }
        // A folder cannot be renamed onto a non-empty one, so the old one is moved away first.
        match fs::rename(&target, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.context("target/site cannot be replaced")?,
        }
        fs::rename(&fresh, &target).context("target/site cannot be replaced")?;
        remove_folder(&old)?;
        Ok(true)
    }
}

/// Reads all files below a folder. Returns them by their relative paths, with `/` as the separator.
/// Skips names that begin with a dot, which are not for the web.
pub(crate) fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    fn visit(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().with_context(|| format!("{} is not UTF-8", name.display()))?;
            if name.starts_with('.') {
                continue;
            }
            let path: PathBuf = entry.path();
            if path.is_dir() {
                visit(&path, &format!("{prefix}{name}/"), files)?;
            } else {
                let content = fs::read(&path).with_context(|| path.display().to_string())?;
                files.insert(format!("{prefix}{name}"), content);
            }
        }
        Ok(())
    }
    let mut files = BTreeMap::new();
    if folder.is_dir() {
        visit(folder, "", &mut files)?;
    }
    Ok(files)
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("{} cannot be removed", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(folder: &Path) -> Root {
        fs::create_dir_all(folder.join("frontend")).unwrap();
        fs::write(folder.join("frontend/loader.js"), "").unwrap();
        Root::above(folder).unwrap()
    }

    fn site(content: &str) -> Site {
        let mut site = Site::default();
        site.add_hashed("css", "main.css", content.into());
        site.add("robots.txt".to_owned(), b"User-agent: *".to_vec());
        site
    }

    #[test]
    fn unchanged_site_is_not_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let root = root(folder.path());
        assert!(site("a{}").install(&root).unwrap());
        assert!(!site("a{}").install(&root).unwrap());
    }

    #[test]
    fn changed_site_replaces_every_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = root(folder.path());
        site("a{}").install(&root).unwrap();
        assert!(site("b{}").install(&root).unwrap());

        let files = read_folder(&root.join("target/site")).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let css = files.iter().find(|(path, _)| path.strip_suffix(".css").is_some()).unwrap();
        assert_eq!(css.1, b"b{}");
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest["css"], format!("/{}", css.0));
        assert!(!root.join("target/site.old").exists() && !root.join("target/site.new").exists());
    }

    #[test]
    fn hashed_name_keeps_stem_and_extension() {
        let mut site = Site::default();
        site.add_hashed("js", "frontend.js", b"1".to_vec());
        let (path, _) = site.files().next().unwrap();
        assert!(
            path.starts_with("assets/frontend-") && path.strip_suffix(".js").is_some(),
            "{path}"
        );
        assert_eq!(path.len(), "assets/frontend-.js".len() + HASH_DIGITS);
    }
}
