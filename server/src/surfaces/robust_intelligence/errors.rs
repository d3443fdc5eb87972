//! gRPC errors, with the HTTP status that belongs to each code (google/rpc/code.proto).

use std::collections::BTreeMap;

use domain::problem::{Problem, ProblemCode};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

use crate::surfaces::words::told;

/// Formats an error of Tessera for this surface.
pub(in crate::surfaces) fn envelope(problem: &Problem) -> (StatusCode, Value) {
    let (code, status) = grpc(problem.code);
    (status, json!({"code": code, "message": told(problem), "details": []}))
}

/// Returns the gRPC code and its HTTP status.
const fn grpc(code: ProblemCode) -> (u8, StatusCode) {
    match code {
        // INVALID_ARGUMENT
        ProblemCode::MalformedRequest
        | ProblemCode::MultipleCredentials
        | ProblemCode::PayloadTooLarge
        | ProblemCode::UriTooLong
        | ProblemCode::HeadersTooLarge
        | ProblemCode::UnsupportedMediaType
        | ProblemCode::BoundExceeded
        | ProblemCode::ValidationFailed => (3, StatusCode::BAD_REQUEST),
        // NOT_FOUND
        ProblemCode::NotFound => (5, StatusCode::NOT_FOUND),
        // ALREADY_EXISTS
        ProblemCode::AlreadyExists | ProblemCode::AlreadyCreated => (6, StatusCode::CONFLICT),
        // PERMISSION_DENIED
        ProblemCode::Forbidden
        | ProblemCode::PasswordChangeRequired
        | ProblemCode::InsufficientScope
        | ProblemCode::RevealNotAllowed
        | ProblemCode::CrossOrigin => (7, StatusCode::FORBIDDEN),
        // RESOURCE_EXHAUSTED
        ProblemCode::TokenLimitReached
        | ProblemCode::InvitationLimitReached
        | ProblemCode::RateLimited
        | ProblemCode::TooManyAttempts => (8, StatusCode::TOO_MANY_REQUESTS),
        // FAILED_PRECONDITION
        ProblemCode::PreconditionFailed
        | ProblemCode::NotRecoverable
        | ProblemCode::InUse
        | ProblemCode::LastOwner
        | ProblemCode::IdempotencyMismatch => (9, StatusCode::BAD_REQUEST),
        // ABORTED
        ProblemCode::IdempotencyInFlight => (10, StatusCode::CONFLICT),
        // UNIMPLEMENTED
        ProblemCode::MethodNotAllowed => (12, StatusCode::NOT_IMPLEMENTED),
        // INTERNAL
        ProblemCode::Internal => (13, StatusCode::INTERNAL_SERVER_ERROR),
        // UNAVAILABLE
        ProblemCode::Busy | ProblemCode::Unavailable => (14, StatusCode::SERVICE_UNAVAILABLE),
        // UNAUTHENTICATED
        ProblemCode::Unauthenticated
        | ProblemCode::InvalidToken
        | ProblemCode::InvalidCredentials => (16, StatusCode::UNAUTHORIZED),
    }
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = Status, example = json!({"code": 5, "message": "The token doesn't exist, or you don't have access to it.", "details": []}))]
pub(super) struct ErrorBody {
    /// The gRPC code.
    code: u8,
    /// What went wrong.
    message: String,
    /// Always empty.
    details: Vec<Value>,
}

/// The errors that every operation may return.
pub(super) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            (400, "INVALID_ARGUMENT (3): the request is malformed, or a value is invalid."),
            (401, "UNAUTHENTICATED (16): the token is missing or not accepted."),
            (403, "PERMISSION_DENIED (7): the calling token may not do this."),
            (
                404,
                "NOT_FOUND (5): the resource does not exist, or the calling token may not see it.",
            ),
            (409, "ALREADY_EXISTS (6): the name is taken."),
            (429, "RESOURCE_EXHAUSTED (8): the limit of tokens, or of calls, is reached."),
            (500, "INTERNAL (13): an internal error."),
            (501, "UNIMPLEMENTED (12): the method is not supported."),
            (503, "UNAVAILABLE (14): Tessera cannot reach its database."),
        ]
        .into_iter()
        .map(|(status, description)| {
            let content =
                ContentBuilder::new().schema(Some(Ref::from_schema_name("Status"))).build();
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/json", content)
                .build();
            (status.to_string(), response.into())
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_map_to_codes_and_their_statuses() {
        let of = |code: ProblemCode| {
            let (status, body) = envelope(&Problem::new(code, "x"));
            (body["code"].as_u64().unwrap(), status.as_u16())
        };
        for (problem, expected) in [
            (ProblemCode::TokenLimitReached, (8, 429)),
            (ProblemCode::RateLimited, (8, 429)),
            (ProblemCode::ValidationFailed, (3, 400)),
            (ProblemCode::NotFound, (5, 404)),
            (ProblemCode::InvalidToken, (16, 401)),
            (ProblemCode::InsufficientScope, (7, 403)),
            (ProblemCode::PreconditionFailed, (9, 400)),
            (ProblemCode::Unavailable, (14, 503)),
        ] {
            assert_eq!(of(problem), expected, "{problem:?}");
        }
        let statuses = [
            (3, 400),
            (5, 404),
            (6, 409),
            (7, 403),
            (8, 429),
            (9, 400),
            (10, 409),
            (12, 501),
            (13, 500),
            (14, 503),
            (16, 401),
        ];
        assert!(ProblemCode::ALL.iter().all(|code| statuses.contains(&of(*code))));
    }
}
