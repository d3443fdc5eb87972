//! The failure of a command: one plain line on standard error and an exit status.

use std::{fmt, io, process::ExitCode};

use authority::ServiceError;

use crate::{
    config::ConfigError, database::describe, output, runtime::StartError, serve::ServeError,
};

/// The reason why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong: status 2.
    Usage(String),
    /// Any other failure: status 1.
    Failed(String),
    /// The command has already reported the failure: status 1.
    Told,
    /// The reader closed the output, which is not a failure: status 0.
    Unread,
    /// A signal ended the command: status 130, as shells report it.
    Interrupted,
}

impl Failure {
    /// Creates a failure with this line.
    pub(crate) fn new(line: impl fmt::Display) -> Self {
        Self::Failed(line.to_string())
    }

    /// Reports the failure and returns the exit status.
    pub(super) fn report(self) -> ExitCode {
        let (line, status) = match self {
            Self::Usage(line) => (line, 2),
            Self::Failed(line) => (line, 1),
            Self::Told => return ExitCode::FAILURE,
            Self::Unread => return ExitCode::SUCCESS,
            Self::Interrupted => return ExitCode::from(130),
        };
        // Causes may have several lines; the message has one.
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
