//! The errors of service methods: one variant for each case in which the caller can act
//! differently.

use domain::{
    ids::TokenId,
    problem::{FieldError, Problem, ProblemCode},
};
use thiserror::Error;

use super::StoreError;

/// The error of a service method. `Unavailable` and `Internal` keep their cause, which is logged
/// and never sent.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The caller is not authenticated.
    #[error("not authenticated")]
    Unauthenticated,
    /// E-mail address and password do not match.
    #[error("wrong e-mail address or password")]
    InvalidCredentials,
    /// The caller may see the record, but may not do this.
    #[error("forbidden: {0}")]
    Forbidden(&'static str),
    /// Another person chose the caller's password: the caller can only change it.
    #[error("the password must be changed first")]
    PasswordChangeRequired,
    /// The presented token lacks this scope of the audience `tessera`.
    #[error("the token lacks the scope {0}")]
    InsufficientScope(&'static str),
    /// The record does not exist, or the caller may not know that it exists.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Some values are invalid.
    #[error("invalid values: {0:?}")]
    Invalid(Vec<FieldError>),
    /// A name that must be unique is in use.
    #[error("{} {}", .0.field, .0.message)]
    AlreadyExists(FieldError),
    /// A token was already created from this form.
    #[error("this form already created token {0}")]
    AlreadyCreated(TokenId),
    /// The policy allows no further token.
    #[error("the token limit of {0} is reached")]
    TokenLimitReached(i64),
    /// The workspace has reached its limit of open invitations.
    #[error("the limit of {0} open invitations is reached")]
    InvitationLimitReached(i64),
    /// The person, or all tokens of the workspace together, have reached the limit of invitations
    /// within an hour.
    #[error("too many invitations; retry in {wait_s} s")]
    TooManyInvitations {
        /// Whether the tokens reached the limit.
        by_tokens: bool,
        /// How long to wait.
        wait_s: u64,
    },
    /// The record has changed since the caller read it.
    #[error("the record has changed in the meantime")]
    PreconditionFailed,
    /// The token's secret was not stored.
    #[error("the secret is not recoverable")]
    NotRecoverable,
    /// The policy shows secrets only once. This includes secrets that were stored earlier.
    #[error("the policy does not allow secrets to be shown again")]
    RevealNotAllowed,
    /// The request exceeds the bounds of the calling token.
    #[error("beyond the bounds of the calling token: {0:?}")]
    BoundExceeded(Vec<FieldError>),
    /// Another record still needs it; the text names it.
    #[error("in use: {0}")]
    InUse(String),
    /// The instance would be left without an owner.
    #[error("the instance needs an enabled owner")]
    LastOwner,
    /// The first request under this idempotency key is still in progress.
    #[error("the same request is still in progress")]
    IdempotencyInFlight,
    /// Another request was sent under this idempotency key earlier.
    #[error("the idempotency key belongs to another request")]
    IdempotencyMismatch,
    /// The caller has reached the limit of idempotency keys.
    #[error("the caller holds too many idempotency keys; the first one expires in {0} s")]
    TooManyKeys(u64),
    /// Too many attempts.
    #[error("too many attempts; retry in {0} s")]
    TooManyAttempts(u64),
    /// Too many texts from this address, or from this verifier, were neither tokens nor sessions.
    #[error("too many unknown tokens or sessions; retry in {0} s")]
    TooManyUnknown(u64),
    /// Imports named too many secrets of other workspaces' tokens.
    #[error("too many imports named secrets of other workspaces; retry in {0} s")]
    TooManyCollisions(u64),
    /// The change is made, but some tokens that it stops are not stopped yet.
    #[error("some tokens are not stopped yet")]
    Unfinished,
    /// Other work took the threads or locks for too long.
    #[error("busy with other work")]
    Busy,
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Unavailable(#[source] StoreError),
    /// An internal error of Tessera.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ServiceError {
    /// Returns the error for one invalid field.
    pub fn invalid(field: &str, message: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// Returns an internal error with its cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// Returns the stable code.
    pub const fn code(&self) -> ProblemCode {
        match self {
            Self::Unauthenticated => ProblemCode::Unauthenticated,
            Self::InvalidCredentials => ProblemCode::InvalidCredentials,
            Self::Forbidden(_) => ProblemCode::Forbidden,
            Self::PasswordChangeRequired => ProblemCode::PasswordChangeRequired,
            Self::InsufficientScope(_) => ProblemCode::InsufficientScope,
            Self::NotFound(_) => ProblemCode::NotFound,
            Self::Invalid(_) => ProblemCode::ValidationFailed,
            Self::AlreadyExists(_) => ProblemCode::AlreadyExists,
            Self::AlreadyCreated(_) => ProblemCode::AlreadyCreated,
            Self::TokenLimitReached(_) => ProblemCode::TokenLimitReached,
            Self::InvitationLimitReached(_) => ProblemCode::InvitationLimitReached,
            Self::PreconditionFailed => ProblemCode::PreconditionFailed,
            Self::NotRecoverable => ProblemCode::NotRecoverable,
            Self::RevealNotAllowed => ProblemCode::RevealNotAllowed,
            Self::BoundExceeded(_) => ProblemCode::BoundExceeded,
            Self::InUse(_) => ProblemCode::InUse,
            Self::LastOwner => ProblemCode::LastOwner,
            Self::IdempotencyInFlight => ProblemCode::IdempotencyInFlight,
            Self::IdempotencyMismatch => ProblemCode::IdempotencyMismatch,
            Self::TooManyAttempts(_) => ProblemCode::TooManyAttempts,
            Self::TooManyKeys(_)
            | Self::TooManyUnknown(_)
            | Self::TooManyCollisions(_)
            | Self::TooManyInvitations { .. } => ProblemCode::RateLimited,
            Self::Busy | Self::Unfinished => ProblemCode::Busy,
            Self::Unavailable(_) => ProblemCode::Unavailable,
            Self::Internal(_) => ProblemCode::Internal,
        }
    }

    /// Returns whether a retry may succeed a moment later, because other requests hold the locks or
    /// the threads at present.
    pub(crate) const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(StoreError::Busy(_)))
    }

    /// Returns the problem that a surface sends. Contains nothing of an internal cause.
    pub fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.code(), self.detail());
        match self {
            Self::Invalid(errors) | Self::BoundExceeded(errors) => {
                problem.errors = FieldError::few(errors);
            }
            Self::AlreadyExists(error) => problem.errors.push(error.clone()),
            Self::TooManyAttempts(seconds)
            | Self::TooManyUnknown(seconds)
            | Self::TooManyCollisions(seconds)
            | Self::TooManyInvitations { wait_s: seconds, .. }
            | Self::TooManyKeys(seconds) => {
                problem.retry_after_s = Some(*seconds);
            }
            Self::Busy | Self::Unfinished | Self::Unavailable(_) | Self::IdempotencyInFlight => {
                problem.retry_after_s = Some(1);
            }
            _ => {}
        }
        problem
    }

    /// Logs the cause, if there is one that is not sent to callers.
    pub fn log(&self, request_id: &str) {
        match self {
            Self::Unavailable(cause) => {
                tracing::error!(request_id, cause = %chain(cause), "the database cannot be reached");
            }
            Self::Internal(cause) => {
                tracing::error!(request_id, cause = %chain(cause.as_ref()), "internal error");
            }
            _ => {}
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Unauthenticated => "Sign in or present a valid token.".into(),
            Self::InvalidCredentials => "The e-mail address or password is wrong.".into(),
            Self::Forbidden(why) => (*why).into(),
            Self::PasswordChangeRequired => {
                "An administrator chose your password. Before you can do anything else, change it in the console or with POST /api/v1/account/password.".into()
            }
            Self::InsufficientScope(scope) => {
                format!("The token lacks the scope {scope} of the audience tessera, or its owner lacks the permission.")
            }
            Self::NotFound(what) => {
                format!("The {what} doesn't exist, or you don't have access to it.")
            }
            Self::Invalid(errors) | Self::BoundExceeded(errors) => match errors.as_slice() {
                [error] => format!("{} {}.", error.field, error.message),
                errors => format!("{} values are invalid. See `errors` for details.", errors.len()),
            },
            Self::AlreadyExists(error) => format!("{} {}.", error.field, error.message),
            Self::AlreadyCreated(id) => format!(
                "This form already created a token (id {id}). Its secret was shown once and can't be shown again."
            ),
            Self::TokenLimitReached(limit) => format!(
                "The token limit of {limit} is reached. Delete unused tokens or ask an administrator to raise it."
            ),
            Self::InvitationLimitReached(limit) => format!(
                "The limit of {limit} open invitations is reached. Revoke some of them or wait until they expire."
            ),
            Self::TooManyInvitations { by_tokens, wait_s } => {
                let who = if *by_tokens {
                    ("The tokens of this workspace", "all tokens of a workspace together")
                } else {
                    ("You", "one person")
                };
                format!(
                    "{} sent {} invitations within an hour, which is the limit for {}. Try again in {}.",
                    who.0,
                    crate::kernel::limits::INVITATIONS_PER_HOUR,
                    who.1,
                    in_words(*wait_s)
                )
            }
            Self::PreconditionFailed => {
                "This has changed since you read it. Review the changes, then try again.".into()
            }
            Self::NotRecoverable => {
                "The token was created without the option to show its secret again. Rotate it to get a new secret.".into()
            }
            Self::RevealNotAllowed => {
                "The policy of this workspace shows secrets only once. Rotate the token to get a new secret.".into()
            }
            Self::InUse(why) => why.clone(),
            Self::LastOwner => {
                "The instance needs at least one enabled owner. Make another person an owner first.".into()
            }
            Self::IdempotencyInFlight => {
                "The first request with this Idempotency-Key is still in progress. Try again in a moment.".into()
            }
            Self::IdempotencyMismatch => {
                "This Idempotency-Key was already used for a different request. Use a new key for a new request.".into()
            }
            Self::TooManyKeys(_) => format!(
                "You hold {} Idempotency-Key values, which is the limit for one caller. Each is kept for 24 hours. Nothing was changed. Send the request without the header, or try again later.",
                crate::kernel::limits::KEYS_MAX
            ),
            Self::TooManyAttempts(seconds) => {
                format!("Too many attempts. Try again in {}.", in_words(*seconds))
            }
            Self::TooManyCollisions(seconds) => format!(
                "Imports by you or into this workspace named secrets of other workspaces {} times within a day, which is the limit. Try again in {}.",
                crate::kernel::limits::COLLISIONS_MAX,
                in_words(*seconds)
            ),
            Self::TooManyUnknown(seconds) => {
                format!("Too many unknown tokens or sessions were presented. Try again in {seconds} s.")
            }
            Self::Unfinished => {
                "The change was made, but some of the tokens that it stops are not stopped yet. Tessera continues to stop them.".into()
            }
            Self::Busy => {
                "Tessera is too busy for this request at the moment. Nothing was changed. Try again.".into()
            }
            Self::Unavailable(StoreError::Busy(_)) => {
                "The database was busy with other changes for too long. Nothing was changed. Try again.".into()
            }
            Self::Unavailable(_) => {
                "Tessera can't reach its database at the moment. Nothing was changed. Try again.".into()
            }
            Self::Internal(_) => {
                "Something went wrong in Tessera. The server's log has the cause under this request's id.".into()
            }
        }
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Busy(_) => Self::Unavailable(error),
            other => Self::Internal(Box::new(other)),
        }
    }
}

/// Formats a time to wait, for people.
fn in_words(seconds: u64) -> String {
    match (seconds, seconds.div_ceil(60)) {
        (..=1, _) => "a second".to_owned(),
        (2..120, _) => format!("{seconds} seconds"),
        (_, minutes) => format!("{minutes} minutes"),
    }
}

pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
