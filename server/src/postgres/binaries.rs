//! Finds PostgreSQL's programs.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::PostgresError;

/// The oldest major version that Tessera supports.
const MINIMUM: u32 = 14;

/// The usual installation folders: parent, prefix before the version, subfolder.
const USUAL: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // the project's packages for Fedora and Red Hat
    ("/usr/lib64", "postgresql-", "bin"),        // Gentoo
    ("/opt/homebrew/opt", "postgresql@", "bin"), // macOS on ARM
    ("/usr/local/opt", "postgresql@", "bin"),    // macOS on Intel
];

/// A folder that contains `initdb` and `postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) folder: PathBuf,
    /// The major version.
    pub(crate) version: u32,
}

impl Binaries {
    /// Finds the programs to use: of version `made_by` if a database exists, otherwise the newest.
    pub(super) fn find(
        configured: Option<&Path>,
        made_by: Option<(PathBuf, u32)>,
    ) -> Result<Self, PostgresError> {
        let candidates = match configured {
            Some(folder) => vec![
                Self::in_folder(folder)
                    .ok_or_else(|| PostgresError::NotThere(folder.to_owned()))?,
            ],
            None => search(env::var_os("PATH").as_deref()),
        };
        choose(candidates, made_by)
    }

    /// Returns a program's path.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let postgres = folder.join("postgres");
        if !postgres.is_file() || !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let version = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: folder.to_owned(), version })
    }
}

fn choose(
    candidates: Vec<Binaries>,
    made_by: Option<(PathBuf, u32)>,
) -> Result<Binaries, PostgresError> {
    if let Some((folder, wanted)) = made_by {
        let versions: BTreeSet<u32> = candidates.iter().map(|found| found.version).collect();
        let found = candidates.into_iter().find(|found| found.version == wanted);
        return found.ok_or_else(|| {
            if versions.is_empty() {
                return none();
            }
            let names: Vec<_> =
                versions.iter().map(|version| format!("PostgreSQL {version}")).collect();
            PostgresError::OtherVersion { folder, wanted, found: names.join(" and ") }
        });
    }
    // Among equal versions, prefer the first: it comes from PATH, so it is the one the user means.
    let newest = candidates.into_iter().rev().max_by_key(|found| found.version).ok_or_else(none)?;
    if newest.version < MINIMUM {
        return Err(PostgresError::TooOld {
            found: newest.version,
            folder: newest.folder,
            minimum: MINIMUM,
        });
    }
    Ok(newest)
}

fn none() -> PostgresError {
    let usual = USUAL.map(|(parent, prefix, leaf)| format!("{parent}/{prefix}*/{leaf}")).join(", ");
    PostgresError::NoBinaries { searched: format!("searched PATH, {usual}") }
}

/// Returns every installation: PATH first, then the usual folders.
fn search(path: Option<&OsStr>) -> Vec<Binaries> {
    let mut folders: Vec<PathBuf> = path
        .into_iter()
        .flat_map(env::split_paths)
        .filter(|folder| folder.is_absolute())
        // A link in PATH leads to the folder where the programs find their other files.
        .filter_map(|folder| folder.join("postgres").canonicalize().ok())
        .filter_map(|program| program.parent().map(Path::to_owned))
        .collect();
    for (parent, prefix, leaf) in USUAL {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let versions = entries.filter(|entry| {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(prefix));
            rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        });
        folders.extend(versions.map(|entry| entry.path().join(leaf)));
    }
    let mut seen = BTreeSet::new();
    folders
        .into_iter()
        .filter(|folder| seen.insert(folder.clone()))
        .filter_map(|folder| Binaries::in_folder(&folder))
        .collect()
}

/// Parses `postgres (PostgreSQL) 15.12 (Debian …)`, and also `18beta1`.
fn parse_version(text: &str) -> Option<u32> {
    let number = text.split(") ").nth(1)?;
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(version: u32) -> Binaries {
        Binaries { folder: format!("/pg/{version}").into(), version }
    }

    #[test]
    fn version_is_parsed_from_program_output() {
        assert_eq!(
            parse_version("postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)\n"),
            Some(15)
        );
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn new_database_gets_the_newest_version() {
        assert_eq!(choose(vec![found(15), found(17), found(16)], None).unwrap(), found(17));
        assert!(matches!(choose(vec![found(13)], None), Err(PostgresError::TooOld { .. })));
        let message = choose(vec![], None).unwrap_err().to_string();
        for way_out in ["apt-get install", "dnf install", "brew install", "TESSERA_DATABASE_URL"] {
            assert!(message.contains(way_out), "{message}");
        }
    }

    #[test]
    fn existing_database_requires_the_version_that_created_it() {
        let made_by = Some((PathBuf::from("/data/postgres"), 15));
        assert_eq!(choose(vec![found(17), found(15)], made_by.clone()).unwrap(), found(15));
        let message = choose(vec![found(17), found(16)], made_by).unwrap_err().to_string();
        assert!(
            message.contains("created by PostgreSQL 15, but only PostgreSQL 16 and PostgreSQL 17"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn parsing_any_version_never_panics(text in any::<String>()) {
            let _ = parse_version(&text);
        }
    }
}
