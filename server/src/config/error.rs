//! Configuration errors. Every message names the place of the mistake and how to correct it.

use std::path::PathBuf;

use thiserror::Error;

/// A configuration error. Messages never contain the value of a secret setting.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// An unknown key.
    #[error("unknown setting {name} in {place}; did you mean {nearest}?")]
    Unknown {
        /// The key as written.
        name: String,
        /// The file, or "the environment".
        place: String,
        /// The most similar known key.
        nearest: String,
    },
    /// A value that cannot be used.
    #[error("{setting} ({place}) {reason}")]
    Value {
        /// The setting's key.
        setting: &'static str,
        /// The source of the value.
        place: String,
        /// What is wrong, starting with a verb.
        reason: String,
        /// Whether the value came from the command line, which makes this a usage error.
        flag: bool,
    },
    /// A setting that appears twice in one source.
    #[error("{first} and {second} are the same setting: keep one")]
    Twice { first: String, second: String },
    /// A file that cannot be read.
    #[error("cannot read {what} {}: {cause}", path.display())]
    Unreadable {
        /// The purpose of the file.
        what: &'static str,
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A file that is not valid TOML.
    #[error("{} line {line}: {reason}", path.display())]
    Syntax {
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
        /// What is wrong. It does not quote the line, which may contain a password.
        reason: String,
    },
    /// A variable whose value is not text.
    #[error("the environment variable {0} is not UTF-8 text")]
    NotText(String),
}

impl ConfigError {
    /// Reports whether the error is in the command line itself.
    pub(crate) const fn is_usage(&self) -> bool {
        matches!(self, Self::Value { flag: true, .. })
    }
}
