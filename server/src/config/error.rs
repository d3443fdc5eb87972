//! What can be wrong with a configuration. Every message names the place and the way out.

use std::path::PathBuf;

use thiserror::Error;

/// Why there is no configuration. No message holds a value of a secret setting.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// A key that nobody knows.
    #[error("unknown setting {name} in {place}; did you mean {nearest}?")]
    Unknown {
        /// As it was written.
        name: String,
        /// The file, or "the environment".
        place: String,
        /// The known one that is most like it.
        nearest: String,
    },
    /// A value that cannot be used.
    #[error("{setting} ({place}) {reason}")]
    Value {
        /// The setting's key.
        setting: &'static str,
        /// Where the value came from.
        place: String,
        /// What is wrong, beginning with a verb.
        reason: String,
        /// It came from the command line: a usage error.
        flag: bool,
    },
    /// One setting twice in one source.
    #[error("{first} and {second} say the same thing: keep one")]
    Twice {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {what} {}: {cause}", path.display())]
    Unreadable {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A file that is not TOML.
    #[error("{} line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong. Does not quote the line, which may hold a password.
        reason: String,
    },
    /// A variable whose value is not text.
    #[error("the variable {0} is not UTF-8 text")]
    NotText(String),
}

impl ConfigError {
    /// Whether the command line itself is to blame.
    pub(crate) const fn is_usage(&self) -> bool {
        matches!(self, Self::Value { flag: true, .. })
    }
}
