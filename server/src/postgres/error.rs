//! Errors of the embedded database. Every message says what to do.

use std::{io, path::PathBuf};

use thiserror::Error;

/// The reasons why the embedded database does not run.
#[derive(Debug, Error)]
pub(crate) enum PostgresError {
    /// The programs were not found.
    #[error(
        "PostgreSQL's programs initdb and postgres were not found ({searched}); install them \
         (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; \
         macOS: brew install postgresql@17), pass their folder with --postgres-bin-dir, \
         or use your own database with TESSERA_DATABASE_URL"
    )]
    NoBinaries {
        /// The places that were searched.
        searched: String,
    },
    /// The configured folder does not contain the programs.
    #[error(
        "postgres_bin_dir {} does not contain PostgreSQL's programs initdb and postgres; install them (Debian, Ubuntu: \
         apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql@17), \
         or remove the setting, so that Tessera searches for them",
        .0.display()
    )]
    NotThere(PathBuf),
    /// The programs are too old.
    #[error("PostgreSQL {found} in {} is too old: version {minimum} or later is required", folder.display())]
    TooOld {
        /// The newest version found.
        found: u32,
        folder: PathBuf,
        /// The oldest supported version.
        minimum: u32,
    },
    /// The data folder belongs to another version.
    #[error(
        "the database in {} was created by PostgreSQL {wanted}, but only {found} was found; install \
         PostgreSQL {wanted} as well (or pass its folder with --postgres-bin-dir), or upgrade the \
         database with pg_upgrade", folder.display()
    )]
    OtherVersion {
        /// The database's folder.
        folder: PathBuf,
        /// The version that created it.
        wanted: u32,
        /// The versions found.
        found: String,
    },
    /// The database's folder does not contain a database.
    #[error("{} is not a PostgreSQL database: {reason}", folder.display())]
    NotACluster { folder: PathBuf, reason: String },
    /// The process is root, and there is no other user to run the database.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user \
         nobody that could run it; start Tessera as another user, or use TESSERA_DATABASE_URL"
    )]
    NoAccount,
    /// The user ID has no name.
    #[error(
        "the user ID {uid} has no name in /etc/passwd, and PostgreSQL's initdb needs one; install \
         libnss-wrapper (Debian) or nss_wrapper (Fedora), add a line (echo 'tessera:x:{uid}:{gid}::/:/sbin/nologin' \
         >> /etc/passwd), or use your own database with TESSERA_DATABASE_URL"
    )]
    NamelessUser { uid: u32, gid: u32 },
    /// The process is root, and the other user cannot reach the data folder.
    #[error(
        "PostgreSQL refuses to run as root, so it runs as the user {user}, which cannot enter the folder \
         {}; choose a system folder, such as --data-dir {}, or let other users enter: chmod o+x {}",
        closed.display(), crate::config::SYSTEM_DATA_DIR, closed.display()
    )]
    ClosedWay {
        user: String,
        /// The folder that this user cannot traverse.
        closed: PathBuf,
    },
    /// The folder belongs to another user.
    #[error("{} belongs to another user or is not a folder; remove it, or choose a shorter --data-dir", .0.display())]
    ForeignFolder(PathBuf),
    /// A file or folder cannot be used.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        cause: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {said}")]
    Program {
        /// The program's name.
        program: &'static str,
        /// Its last message.
        said: String,
    },
    /// PostgreSQL exited during its start.
    #[error("PostgreSQL exited during its start: {said} (see {})", log.display())]
    Ended {
        /// Its last message.
        said: String,
        /// Its log.
        log: PathBuf,
    },
    /// Its roles cannot be created.
    #[error("cannot prepare the roles of the embedded database: {0}")]
    Roles(String),
    /// A postmaster that outlived its Tessera process does not stop.
    #[error(
        "PostgreSQL process {pid} of an earlier run does not stop; stop it with: kill -QUIT {pid}"
    )]
    Stubborn {
        /// Its process ID.
        pid: i32,
    },
    /// Another process should be running the database, but is not.
    #[error(
        "another Tessera process uses the data folder {}, but no database is running there; if that \
         server uses its own database, run this command with the same TESSERA_DATABASE_URL",
        .0.display()
    )]
    NotReady(PathBuf),
}

impl PostgresError {
    /// Converts the error of a file operation, for `map_err`.
    pub(super) fn io(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { doing, path, cause }
    }
}
