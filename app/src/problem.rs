//! The error type of the console's server functions. It wraps the [`Problem`] that every surface of
//! Tessera returns.

use domain::problem::{Problem, ProblemCode};
use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};

/// A problem that a page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConsoleError(pub Problem);

impl ConsoleError {
    /// Creates a problem with this code. `detail` is a whole sentence.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    /// Creates the problem for a server that cannot be reached, or for a response that did not come
    /// from Tessera.
    pub fn unreachable() -> Self {
        Self::new(
            ProblemCode::Unavailable,
            "Can't reach the server. Check your connection, then try again.",
        )
    }
}

impl From<Problem> for ConsoleError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl std::fmt::Display for ConsoleError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for ConsoleError {}

impl FromServerFnError for ConsoleError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let error = match error {
            ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_)
            | ServerFnErrorErr::UnsupportedRequestMethod(_) => Self::new(
                ProblemCode::MalformedRequest,
                "The server didn't understand the request of this page. Reload the page.",
            ),
            #[cfg(feature = "ssr")]
            ServerFnErrorErr::Deserialization(_) => Self::new(
                ProblemCode::MalformedRequest,
                "The server couldn't read the request of this page. Reload the page.",
            ),
            // In the browser, this means no connection, or a response from an intermediary.
            #[cfg(not(feature = "ssr"))]
            ServerFnErrorErr::Deserialization(_) => Self::unreachable(),
            ServerFnErrorErr::Request(_) | ServerFnErrorErr::Response(_) => Self::unreachable(),
            ServerFnErrorErr::Registration(_)
            | ServerFnErrorErr::ServerError(_)
            | ServerFnErrorErr::MiddlewareError(_)
            | ServerFnErrorErr::Serialization(_) => {
                Self::new(ProblemCode::Internal, "Something went wrong. Try again.")
            }
        };
        #[cfg(feature = "ssr")]
        crate::status::set_status(error.0.status);
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_survives_serialisation_for_the_browser() {
        let mut problem = Problem::new(ProblemCode::NotFound, "Workspace not found.");
        problem.request_id = Some("r-1".into());
        let error = ConsoleError(problem);
        assert_eq!(ConsoleError::de(error.ser()), error);
    }

    #[test]
    fn unreadable_arguments_are_a_malformed_request() {
        let error = ConsoleError::de("<html>".into());
        assert_eq!(error.0.code, ProblemCode::MalformedRequest);
    }
}
