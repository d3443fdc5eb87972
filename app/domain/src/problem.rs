//! Errors as every door of Tessera tells them: problem details (RFC 9457) with a stable `code`.

use serde::{Deserialize, Serialize};

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal, $code:literal, $title:literal;)+) => {
        /// What went wrong, as a program tells it apart. Codes never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ProblemCode { $($(#[$doc])* $variant),+ }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The HTTP status (RFC 9110 section 15) that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// The code as the API writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// A short summary, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

problem_codes! {
    /// The request cannot be read.
    MalformedRequest = 400, "malformed_request", "The request cannot be read";
    /// Two different tokens in one request.
    MultipleCredentials = 400, "multiple_credentials", "The request holds two different tokens";
    /// No credential.
    Unauthenticated = 401, "unauthenticated", "Sign in or present a token";
    /// A credential that is not accepted.
    InvalidToken = 401, "invalid_token", "The token is not accepted";
    /// E-mail and password do not fit together.
    InvalidCredentials = 401, "invalid_credentials", "E-mail address or password is wrong";
    /// Known, but may not do this.
    Forbidden = 403, "forbidden", "You may not do this";
    /// Somebody else chose the caller's password: they can only change it.
    PasswordChangeRequired = 403, "password_change_required", "Change your password first";
    /// The presented token lacks a scope.
    InsufficientScope = 403, "insufficient_scope", "The token lacks a scope";
    /// An unsafe request that another site caused.
    CrossOrigin = 403, "cross_origin", "The request comes from another site";
    /// Not there, or not to be seen by the caller.
    NotFound = 404, "not_found", "There is no such thing";
    /// The resource has no such method.
    MethodNotAllowed = 405, "method_not_allowed", "This resource has no such method";
    /// The name, slug or address is in use.
    AlreadyExists = 409, "already_exists", "It exists already";
    /// This very form has made its token before.
    AlreadyCreated = 409, "already_created", "This token was created already";
    /// Policy allows no further token.
    TokenLimitReached = 409, "token_limit_reached", "The limit of tokens is reached";
    /// The workspace has as many open invitations as one may have.
    InvitationLimitReached = 409, "invitation_limit_reached", "The limit of open invitations is reached";
    /// Another change came in between: what the caller saw is not what is there.
    PreconditionFailed = 412, "precondition_failed", "It was changed in the meantime";
    /// The token's secret was never kept.
    NotRecoverable = 409, "not_recoverable", "The secret cannot be shown again";
    /// Policy shows secrets once, also those that were kept before.
    RevealNotAllowed = 403, "reveal_not_allowed", "Policy does not allow secrets to be shown again";
    /// Something else still needs it.
    InUse = 409, "in_use", "It is in use";
    /// The instance would be left without an owner.
    LastOwner = 409, "last_owner", "The last owner cannot go";
    /// The first request under this idempotency key is still in progress.
    IdempotencyInFlight = 409, "idempotency_in_flight", "The same request is still in progress";
    /// Another request was sent under this idempotency key before.
    IdempotencyMismatch = 422, "idempotency_mismatch", "The idempotency key belongs to another request";
    /// More bytes than this resource takes.
    PayloadTooLarge = 413, "payload_too_large", "The request is too large";
    /// The address is too long.
    UriTooLong = 414, "uri_too_long", "The address is too long";
    /// Not a content type that this resource takes.
    UnsupportedMediaType = 415, "unsupported_media_type", "This content type is not supported";
    /// Well-formed, but a value cannot be used; `errors` says which.
    ValidationFailed = 422, "validation_failed", "Some values cannot be used";
    /// Wider than the bounds of the token that asks; `errors` says what.
    BoundExceeded = 422, "bound_exceeded", "It would exceed the bounds of the token that asks";
    /// Too many headers, or too long ones.
    HeadersTooLarge = 431, "headers_too_large", "The headers are too large";
    /// Too many attempts; `Retry-After` says for how long.
    TooManyAttempts = 429, "too_many_attempts", "Too many attempts";
    /// More calls than one caller may make; `Retry-After` says when there is room again.
    RateLimited = 429, "rate_limited", "Too many calls";
    /// Tessera's own fault; logged under the request id.
    Internal = 500, "internal", "Something went wrong in Tessera";
    /// The server has too much to do; `Retry-After` says when to try again.
    Busy = 503, "busy", "Tessera has too much to do";
    /// The database cannot be reached.
    Unavailable = 503, "unavailable", "Tessera cannot reach its database";
}

/// Most errors that an answer lists.
pub const ERRORS_MAX: usize = 100;

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name in the request; nested ones are joined by dots.
    pub field: String,
    /// What is wrong, as the end of a sentence that begins with the field's name.
    pub message: String,
}

impl FieldError {
    /// An error of `field`.
    pub fn new(field: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }

    /// Returns the first [`ERRORS_MAX`] errors and, in place of the others, how many these are.
    pub fn few(errors: &[Self]) -> Vec<Self> {
        let mut few: Vec<Self> = errors.iter().take(ERRORS_MAX).cloned().collect();
        match &errors[few.len()..] {
            [] => {}
            // It may be such a note itself.
            [one] => few.push(one.clone()),
            others => {
                few.push(Self::new("errors", format!("are cut off: {} more", others.len())));
            }
        }
        few
    }
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:tessera:problem:<code>` (RFC 9457 section 3.1.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's summary.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ProblemCode,
    /// What went wrong this time and what to do about it.
    pub detail: String,
    /// The fields at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seconds after which a further attempt makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The request's id, as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem of this code; `detail` is a whole sentence.
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

    /// The message for a field of a form, if that field is at fault.
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
    fn answer_lists_only_so_many_errors_and_says_how_many_there_are() {
        let errors = |count: usize| vec![FieldError::new("a", "is wrong"); count];
        for count in [0, 1, ERRORS_MAX, ERRORS_MAX + 1] {
            assert_eq!(FieldError::few(&errors(count)), errors(count));
        }
        let few = FieldError::few(&errors(20_000));
        assert_eq!(few.len(), ERRORS_MAX + 1);
        assert_eq!(few[ERRORS_MAX], FieldError::new("errors", "are cut off: 19900 more"));
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
