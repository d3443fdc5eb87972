//! How a command fails: one plain line on standard error and an exit status.

use std::{fmt, io, process::ExitCode};

use authority::ServiceError;

use super::output;
use crate::{
    config::ConfigError,
    runtime::{StartError, describe},
    serve::ServeError,
};

/// The end of a command that did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is at fault: status 2.
    Usage(String),
    /// Something else is: status 1.
    Failed(String),
    /// It has said what is wrong already: status 1.
    Told,
    /// Nobody reads its output any more: no failure.
    Unread,
    /// A signal ended it: status 130, as a shell says it.
    Interrupted,
}

impl Failure {
    /// A failure with this line.
    pub(crate) fn new(line: impl fmt::Display) -> Self {
        Self::Failed(line.to_string())
    }

    /// Says what is wrong, and answers the exit status.
    pub(super) fn report(self) -> ExitCode {
        let (line, status) = match self {
            Self::Usage(line) => (line, 2),
            Self::Failed(line) => (line, 1),
            Self::Told => return ExitCode::FAILURE,
            Self::Unread => return ExitCode::SUCCESS,
            Self::Interrupted => return ExitCode::from(130),
        };
        // Causes may have several lines; the answer has one.
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        output::remark(&format!("tessera: {}", output::plain(&line)));
        ExitCode::from(status)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Unread } else { Self::new(error) }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::Failed(describe(&error))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        if error.is_usage() { Self::Usage(error.to_string()) } else { Self::new(error) }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Config(error) => error.into(),
            other => Self::new(other),
        }
    }
}
