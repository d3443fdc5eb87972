//! Errors as every surface of Tessera reports them: problem details (RFC 9457) with
//! a stable `code`.

use serde::{Deserialize, Serialize};

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal, $code:literal, $title:literal;)+) => {
        /// The machine-readable kind of an error. Codes never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ProblemCode { $($(#[$doc])* $variant),+ }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the HTTP status (RFC 9110 section 15) of this code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// Returns the code as the API writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// Returns a short summary, which is the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

problem_codes! {
    /// The request cannot be read.
    MalformedRequest = 400, "malformed_request", "The request can't be read";
    /// The request contains two different tokens.
    MultipleCredentials = 400, "multiple_credentials", "The request contains two different tokens";
    /// The request has no credential.
    Unauthenticated = 401, "unauthenticated", "Sign in or send a token";
    /// The credential is not accepted.
    InvalidToken = 401, "invalid_token", "The token is not accepted";
    /// The e-mail address or the password is wrong.
    InvalidCredentials = 401, "invalid_credentials", "Wrong e-mail address or password";
    /// The caller is known but may not do this.
    Forbidden = 403, "forbidden", "You don't have permission";
    /// Another user chose the caller's password, so the caller can only change it.
    PasswordChangeRequired = 403, "password_change_required", "Change your password first";
    /// The presented token lacks a scope.
    InsufficientScope = 403, "insufficient_scope", "The token lacks a required scope";
    /// Another site caused an unsafe request.
    CrossOrigin = 403, "cross_origin", "The request comes from another site";
    /// The resource does not exist, or the caller may not see it.
    NotFound = 404, "not_found", "Not found";
    /// The resource does not support this method.
    MethodNotAllowed = 405, "method_not_allowed", "This resource doesn't support this method";
    /// The name, slug or address is in use.
    AlreadyExists = 409, "already_exists", "Already exists";
    /// A token was already created from this form.
    AlreadyCreated = 409, "already_created", "This token was already created";
    /// The policy allows no further token.
    TokenLimitReached = 409, "token_limit_reached", "The token limit is reached";
    /// The workspace has reached the limit of open invitations.
    InvitationLimitReached = 409, "invitation_limit_reached", "The limit of open invitations is reached";
    /// Another change came first: the caller's copy is out of date.
    PreconditionFailed = 412, "precondition_failed", "Changed in the meantime";
    /// The token's secret was never stored.
    NotRecoverable = 409, "not_recoverable", "The secret can't be shown again";
    /// The policy shows secrets only once, even those that were stored before.
    RevealNotAllowed = 403, "reveal_not_allowed", "The policy doesn't allow showing secrets again";
    /// Another resource still needs it.
    InUse = 409, "in_use", "Still in use";
    /// The instance would be left without an owner.
    LastOwner = 409, "last_owner", "The instance needs at least one owner";
    /// The first request with this idempotency key is still in progress.
    IdempotencyInFlight = 409, "idempotency_in_flight", "The same request is still in progress";
    /// A different request was sent with this idempotency key before.
    IdempotencyMismatch = 422, "idempotency_mismatch", "The idempotency key belongs to another request";
    /// The request has more bytes than this resource accepts.
    PayloadTooLarge = 413, "payload_too_large", "The request is too large";
    /// The URI is too long.
    UriTooLong = 414, "uri_too_long", "The URL is too long";
    /// This resource does not accept the content type.
    UnsupportedMediaType = 415, "unsupported_media_type", "This content type is not supported";
    /// The request is well-formed, but a value cannot be used; `errors` lists the fields.
    ValidationFailed = 422, "validation_failed", "Some values are invalid";
    /// The request exceeds the bounds of the calling token; `errors` lists the fields.
    BoundExceeded = 422, "bound_exceeded", "The request exceeds the limits of the calling token";
    /// The request has too many headers, or headers that are too long.
    HeadersTooLarge = 431, "headers_too_large", "The headers are too large";
    /// There were too many attempts; `Retry-After` says how long to wait.
    TooManyAttempts = 429, "too_many_attempts", "Too many attempts";
    /// The caller made too many calls; `Retry-After` says when the next one is possible.
    RateLimited = 429, "rate_limited", "Too many requests";
    /// An internal error of Tessera; it is logged under the request id.
    Internal = 500, "internal", "Something went wrong";
    /// The server is overloaded; `Retry-After` says when to try again.
    Busy = 503, "busy", "Tessera is overloaded";
    /// The database cannot be reached.
    Unavailable = 503, "unavailable", "Tessera can't reach its database";
}

/// The maximum number of errors that a response lists.
pub const ERRORS_MAX: usize = 100;

/// An error in one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name in the request; nested names are joined by dots.
    pub field: String,
    /// The error, as the end of a sentence that begins with the field's name.
    pub message: String,
}

impl FieldError {
    /// Creates an error of `field`.
    pub fn new(field: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }

    /// Returns the first [`ERRORS_MAX`] errors and, if there are more, a note with the number of
    /// the others.
    pub fn few(errors: &[Self]) -> Vec<Self> {
        let mut few: Vec<Self> = errors.iter().take(ERRORS_MAX).cloned().collect();
        match &errors[few.len()..] {
            [] => {}
            // The last error may be such a note itself.
            [one] => few.push(one.clone()),
            others => {
                few.push(Self::new("errors", format!("are truncated: {} more", others.len())));
            }
        }
        few
    }
}

/// The body of an error response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:tessera:problem:<code>` (RFC 9457 section 3.1.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// The summary of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ProblemCode,
    /// The cause of this occurrence and what to do about it.
    pub detail: String,
    /// The fields that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The seconds to wait before another attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The request's id, as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// Creates a problem with this code; `detail` is a whole sentence.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tessera:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
            request_id: None,
        }
    }

    /// Returns the message for a field of a form, if that field is wrong.
    pub fn of_field(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_lists_a_limited_number_of_errors_and_counts_the_others() {
        let errors = |count: usize| vec![FieldError::new("a", "is wrong"); count];
        for count in [0, 1, ERRORS_MAX, ERRORS_MAX + 1] {
            assert_eq!(FieldError::few(&errors(count)), errors(count));
        }
        let few = FieldError::few(&errors(20_000));
        assert_eq!(few.len(), ERRORS_MAX + 1);
        assert_eq!(few[ERRORS_MAX], FieldError::new("errors", "are truncated: 19900 more"));
    }

    #[test]
    fn serialised_code_is_the_documented_one() {
        for code in ProblemCode::ALL {
            let json = serde_json::to_value(code).unwrap();
            assert_eq!(json, code.as_str());
            assert!((400..600).contains(&code.status()));
        }
    }
}
