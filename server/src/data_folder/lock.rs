//! The lock on the data folder.
//!
//! It is an advisory kernel lock on an open file (`flock`). The kernel releases it when the process
//! exits for any reason, so a stale file cannot block a start. The file's content only names the
//! process that holds the lock.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// The purpose for which a process uses the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A long-running server.
    Serve,
    /// A command, which runs the database until it is done.
    Command,
}

/// The process that holds the lock, as it describes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its purpose.
    pub(crate) what: Use,
    /// Its process ID.
    pub(crate) pid: u32,
}

/// The lock, which is released when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The reasons why the lock cannot be taken.
#[derive(Debug, Error)]
pub(crate) enum LockError {
    /// Another process holds it.
    #[error("the data folder {} is in use by {}", folder.display(), Who(*holder))]
    Held {
        folder: PathBuf,
        /// The process, if its description could be read.
        holder: Option<Holder>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock the data folder {}: {cause}", folder.display())]
    Io { folder: PathBuf, cause: io::Error },
}

struct Who(Option<Holder>);

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Holder { what: Use::Serve, pid }) => {
                write!(formatter, "another Tessera server (process {pid})")
            }
            Some(Holder { what: Use::Command, pid }) => {
                write!(formatter, "a tessera command (process {pid})")
            }
            None => formatter.write_str("another Tessera process"),
        }
    }
}

impl Lock {
    /// Takes the lock, or returns its holder without waiting.
    pub(crate) fn take(folder: &Path, what: Use) -> Result<Self, LockError> {
        let failed = |cause| LockError::Io { folder: folder.to_owned(), cause };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held {
                    folder: folder.to_owned(),
                    holder: Holder::read(&text),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let holder = Holder { what, pid: std::process::id() };
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.text().as_bytes()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

impl Holder {
    fn text(self) -> String {
        let what = match self.what {
            Use::Serve => "serve",
            Use::Command => "command",
        };
        format!("{what} {}\n", self.pid)
    }

    fn read(text: &str) -> Option<Self> {
        let (what, pid) = text.trim().split_once(' ')?;
        let what = match what {
            "serve" => Use::Serve,
            "command" => Use::Command,
            _ => return None,
        };
        Some(Self { what, pid: pid.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn lock_names_its_holder_until_released() {
        let folder = TempDir::new().unwrap();
        let first = Lock::take(folder.path(), Use::Serve).unwrap();
        let error = Lock::take(folder.path(), Use::Command).unwrap_err();
        let expected = format!("in use by another Tessera server (process {})", std::process::id());
        assert!(error.to_string().ends_with(&expected), "{error}");
        drop(first);
        Lock::take(folder.path(), Use::Command).unwrap();
    }

    proptest! {
        #[test]
        fn holder_round_trips_and_parsing_never_panics(pid in any::<u32>(), noise in any::<String>()) {
            let holder = Holder { what: Use::Command, pid };
            prop_assert_eq!(Holder::read(&holder.text()), Some(holder));
            let _ = Holder::read(&noise);
        }
    }
}
