//! What can go wrong with the embedded database, each with a way out.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why the embedded database does not run.
#[derive(Debug, Error)]
pub(crate) enum PostgresError {
    /// No programs anywhere.
    #[error(
        "PostgreSQL's programs initdb and postgres were not found ({searched}); install them \
         (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; \
         macOS: brew install postgresql@17), name their folder with --postgres-bin-dir, \
         or use a database of your own with TESSERA_DATABASE_URL"
    )]
    NoBinaries {
        /// Where they were looked for.
        searched: String,
    },
    /// The configured folder does not have them.
    #[error(
        "postgres_bin_dir {} does not hold PostgreSQL's programs initdb and postgres; install them (Debian, Ubuntu: \
         apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql@17), \
         or leave the setting out to have them searched for",
        .0.display()
    )]
    NotThere(PathBuf),
    /// Too old.
    #[error("PostgreSQL {found} in {} is too old: {minimum} or later is needed", folder.display())]
    TooOld {
        /// The newest that was found.
        found: u32,
        /// Where.
        folder: PathBuf,
        /// What is needed.
        minimum: u32,
    },
    /// The data folder is of another version.
    #[error(
        "the database in {} was made by PostgreSQL {wanted}, but only {found} was found; install \
         PostgreSQL {wanted} beside it (or name its folder with --postgres-bin-dir), or upgrade the \
         database with pg_upgrade", folder.display()
    )]
    OtherVersion {
        /// The database's folder.
        folder: PathBuf,
        /// The version that made it.
        wanted: u32,
        /// What is there.
        found: String,
    },
    /// The folder of the database is not one.
    #[error("{} is not a PostgreSQL database: {reason}", folder.display())]
    NotACluster {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Root, and nobody to be instead.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user \
         nobody to run it as; start Tessera as another user, or use TESSERA_DATABASE_URL"
    )]
    NoAccount,
    /// A user id without a name.
    #[error(
        "the user id {uid} has no name in /etc/passwd, and PostgreSQL's initdb needs one; install \
         libnss-wrapper (Debian) or nss_wrapper (Fedora), add a line (echo 'tessera:x:{uid}:{gid}::/:/sbin/nologin' \
         >> /etc/passwd), or use a database of your own with TESSERA_DATABASE_URL"
    )]
    NamelessUser {
        /// The user id.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Root, and the other user cannot get to the data folder.
    #[error(
        "PostgreSQL refuses to run as root and so runs as the user {user}, who may not pass through \
         {}; choose a folder of the system, such as --data-dir {}, or let others pass: chmod o+x {}",
        closed.display(), crate::config::SYSTEM_DATA_DIR, closed.display()
    )]
    ClosedWay {
        /// The user.
        user: String,
        /// The folder that it cannot pass.
        closed: PathBuf,
    },
    /// A folder that belongs to somebody else.
    #[error("{} belongs to another user or is open to others; remove it, or choose a shorter --data-dir", .0.display())]
    ForeignFolder(PathBuf),
    /// A file or folder cannot be used.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said last.
        said: String,
    },
    /// It ended while it was starting.
    #[error("PostgreSQL ended while starting: {said} (see {})", log.display())]
    Ended {
        /// What it said last.
        said: String,
        /// Its log.
        log: PathBuf,
    },
    /// Its roles cannot be made.
    #[error("the roles of the embedded database cannot be prepared: {0}")]
    Roles(String),
    /// One that outlived its Tessera does not end.
    #[error(
        "PostgreSQL process {pid} of an earlier run does not stop; stop it with: kill -QUIT {pid}"
    )]
    Stubborn {
        /// Its process id.
        pid: i32,
    },
    /// Another process should be running it, but does not.
    #[error(
        "another Tessera process uses the data folder {}, but no database answers there; if that \
         server uses a database of its own, give this command the same TESSERA_DATABASE_URL",
        .0.display()
    )]
    NotReady(PathBuf),
}

impl PostgresError {
    /// For `map_err`: a file operation that failed.
    pub(super) fn io(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { doing, path, cause }
    }
}
