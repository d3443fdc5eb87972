//! The errors that an operation may return, as described by the OpenAPI document.

use std::collections::BTreeMap;

use domain::problem::{Problem, ProblemCode};
use utoipa::{
    IntoResponses,
    openapi::{
        ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder,
        schema::{Object, ObjectBuilder, Type},
    },
};

use super::schema::ProblemBody;

const MEDIA_TYPE: &str = "application/problem+json";

/// Errors of an operation that reads only its path: 401, 403, 404 and the server's own errors.
pub(crate) struct ReadErrors;

/// Errors of an operation whose parameters can be invalid.
pub(crate) struct QueryErrors;

/// Errors of an operation that is open to every valid token.
pub(crate) struct SelfErrors;

/// Errors of an operation that takes a body and creates something.
pub(crate) struct WriteErrors;

/// Errors of an operation that changes an existing record, with or without a body.
pub(crate) struct ChangeErrors;

/// Errors of a change that takes neither a body nor a parameter.
pub(crate) struct SwitchErrors;

/// Errors of an operation that shows a secret again.
pub(crate) struct RevealErrors;

/// Errors of an operation on many items, which returns a result for each of them.
pub(crate) struct BulkErrors;

/// Errors of an operation that removes something that may be in use.
pub(crate) struct RemoveErrors;

/// Errors of a removal whose parameters can be invalid.
pub(crate) struct RemovePersonErrors;

/// Errors of an operation that takes a body and changes nothing.
pub(crate) struct AskErrors;

impl IntoResponses for SelfErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 429, 500, 503])
    }
}

impl IntoResponses for ReadErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 429, 500, 503])
    }
}

impl IntoResponses for QueryErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 422, 429, 500, 503])
    }
}

impl IntoResponses for AskErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 413, 415, 422, 429, 500, 503])
    }
}

impl IntoResponses for SwitchErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 412, 429, 500, 503])
    }
}

impl IntoResponses for RevealErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 412, 422, 429, 500, 503])
    }
}

impl IntoResponses for BulkErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 413, 415, 422, 429, 500, 503])
    }
}

impl IntoResponses for ChangeErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 503])
    }
}

impl IntoResponses for RemovePersonErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 412, 422, 429, 500, 503])
    }
}

impl IntoResponses for RemoveErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 412, 429, 500, 503])
    }
}

impl IntoResponses for WriteErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503])
    }
}

/// Returns the responses that `references` refers to, by name.
pub(crate) fn reusable_responses() -> Vec<(String, Response)> {
    [
        (400, "The request or its credential is malformed, or the request contains two different tokens.",
            ProblemCode::MalformedRequest, "The body is not valid JSON: error at line 1, column 9."),
        (401, "The token is missing or not accepted.",
            ProblemCode::InvalidToken, "The token has expired."),
        (403, "The caller is authenticated but not allowed to do this: a scope is missing, or the user's role does not allow it.",
            ProblemCode::InsufficientScope,
            "The token lacks the scope tokens:write of the audience tessera, or its owner lacks the permission."),
        (404, "The resource does not exist, or the caller may not see it.",
            ProblemCode::NotFound, "The token doesn't exist, or you don't have access to it."),
        (409, "The request conflicts with the current state: the name is taken, the limit is reached, the secret was never stored, or the first request with this Idempotency-Key is still in progress. The response is not stored under the key: the same request may succeed later.",
            ProblemCode::TokenLimitReached,
            "The token limit of 200 is reached. Delete unused tokens or ask an administrator to raise it."),
        (412, "The current version is not the one in If-Match.", ProblemCode::PreconditionFailed,
            "This has changed since you read it. Review the changes, then try again."),
        (413, "The body is larger than 65,536 bytes (1 MiB for importing tokens).",
            ProblemCode::PayloadTooLarge, "The request body may have at most 65536 bytes."),
        (415, "The content type of the body is not JSON.", ProblemCode::UnsupportedMediaType,
            "The body must be JSON, sent with the header \"Content-Type: application/json\"."),
        (422, "Some values are invalid; `errors` lists them with the reasons.",
            ProblemCode::ValidationFailed, "name must not be empty."),
        (429, "The caller has reached its limit of calls, its token has reached its rate limit, or too many unknown tokens came from this address. `Retry-After` contains the time to wait.",
            ProblemCode::RateLimited,
            "You have reached the limit of 600 calls per minute. Nothing was changed. Try again in 3 s."),
        (500, "An internal error. The server's log contains the cause under `request_id`.",
            ProblemCode::Internal,
            "Something went wrong in Tessera. The server's log has the cause under this request's id."),
        (503, "Tessera cannot reach its database, or is overloaded. `Retry-After` contains the time to wait.",
            ProblemCode::Unavailable,
            "Tessera can't reach its database at the moment. Nothing was changed. Try again."),
    ]
    .into_iter()
    .map(|(status, description, code, detail)| {
        (name(status), response(status, description, Problem::new(code, detail)))
    })
    .collect()
}

fn references(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    statuses
        .iter()
        .map(|status| (status.to_string(), RefOr::Ref(Ref::from_response_name(name(*status)))))
        .collect()
}

fn name(status: u16) -> String {
    format!("Problem{status}")
}

fn response(status: u16, description: &str, problem: Problem) -> Response {
    let example = ProblemBody::example(problem);
    let mut response = ResponseBuilder::new().description(description).content(
        MEDIA_TYPE,
        ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .example(Some(example))
            .build(),
    );
    let header = |description: &str, schema: Object| {
        HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
    };
    if matches!(status, 401 | 403) {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        response = response.header(
            "WWW-Authenticate",
            header("`Bearer realm=\"tessera\"` with `error` and, for a missing scope, `scope` (RFC 6750).", text),
        );
    }
    if matches!(status, 429 | 503) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        response = response.header("Retry-After", header("Seconds.", seconds));
    }
    response.build()
}
