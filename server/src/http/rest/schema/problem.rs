//! Errors.

use domain::problem::Problem;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What is wrong with one value of a request.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldError)]
pub(crate) struct FieldErrorBody {
    /// The field's name in the request; names of nested fields are joined by dots.
    #[schema(example = "name")]
    field: String,
    /// What is wrong, as the end of a sentence that begins with the field's name.
    #[schema(example = "must not be empty")]
    message: String,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:tessera:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code's summary.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The error code, for programs. Codes never change their meaning.
    code: String,
    /// What went wrong in this case and what to do about it, for people.
    detail: String,
    /// The invalid fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldErrorBody>,
    /// Seconds to wait before the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    /// The request's ID, as in the header `x-request-id` and the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl ProblemBody {
    /// Returns an example for the documentation.
    pub(in crate::http::rest) fn example(mut problem: Problem) -> Value {
        problem.request_id = Some("6f1f64a3-7d0f-4f0e-9a53-2f5d8c1d9b11".to_owned());
        json!(problem)
    }
}
