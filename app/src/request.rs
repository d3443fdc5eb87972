//! The context that the server provides to the pages that it renders and the server functions that
//! it runs.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use authority::{Actor, Authority, OpContext, Surface};
use axum::http::{StatusCode, header};
use domain::{
    ids::SessionId,
    problem::{Problem, ProblemCode},
    session::Visitor,
};
use leptos::prelude::{expect_context, use_context};
use leptos_axum::ResponseOptions;

use crate::{posted::Posted, problem::ConsoleError};

/// The session of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestSession {
    /// The user whose session the request carries.
    pub visitor: Option<Visitor>,
    /// The id of the session.
    pub id: Option<SessionId>,
    /// Whether the user must change their password before doing anything else.
    pub must_change_password: bool,
}

/// The reason for a refusal by a service that a page or a server function called. The server
/// records it in the audit log. Only the first refusal is kept.
#[derive(Clone, Debug, Default)]
pub struct PageRefusal(Arc<OnceLock<ProblemCode>>);

impl PageRefusal {
    /// Records the code of a refusal, unless an earlier one is recorded.
    pub fn note(&self, code: ProblemCode) {
        let _ = self.0.set(code);
    }

    /// Returns the code of the first refusal.
    pub fn code(&self) -> Option<ProblemCode> {
        self.0.get().copied()
    }
}

/// The request that a page is rendered for: a context.
#[derive(Clone)]
pub struct ConsoleRequest {
    /// The core services.
    pub authority: Authority,
    /// The caller's session.
    pub session: Arc<RequestSession>,
    /// The request's id, as it appears in the log.
    pub request_id: String,
    /// The caller's address.
    pub client_ip: Option<IpAddr>,
    /// The public URL of this instance, without a trailing slash.
    pub public_url: Arc<str>,
    /// The reason for the refusal, if the request was refused.
    pub refusal: PageRefusal,
}

impl ConsoleRequest {
    /// Returns the context of an operation on behalf of the caller.
    pub fn context(&self) -> OpContext {
        let actor = match &self.session.visitor {
            Some(visitor) if self.session.must_change_password => {
                Actor::Restricted(visitor.clone())
            }
            Some(visitor) => Actor::User(visitor.clone()),
            None => Actor::Anonymous,
        };
        let request_id = self.request_id.clone();
        let mut context =
            self.authority.context(actor, Surface::Console, request_id, self.client_ip);
        context.session = self.session.id;
        context
    }
}

/// Returns the current request.
pub fn request() -> ConsoleRequest {
    expect_context::<ConsoleRequest>()
}

/// Returns the current request and its operation context, for a server function that requires a
/// signed-in caller.
pub fn signed_in() -> Result<(ConsoleRequest, OpContext), ConsoleError> {
    let request = request();
    if request.session.visitor.is_none() {
        return Err(tell(Problem::new(
            ProblemCode::Unauthenticated,
            "Your session has ended. Sign in again.",
        )));
    }
    let context = request.context();
    // Refuses users who must change their password first, for all pages in one place.
    context.authenticated().map_err(|error| failed(&request, &error))?;
    Ok((request, context))
}

/// Turns a problem into a server function's error and sets the status of the response: the page's
/// during server rendering, the server function's otherwise. Sets `Retry-After` if the problem
/// states when to try again. Records the refusal for the audit log.
pub fn tell(problem: Problem) -> ConsoleError {
    if let Some(request) = use_context::<ConsoleRequest>() {
        request.refusal.note(problem.code);
    }
    set_status(problem.status);
    if let (Some(options), Some(seconds)) =
        (use_context::<ResponseOptions>(), problem.retry_after_s)
    {
        options.insert_header(header::RETRY_AFTER, seconds.into());
    }
    ConsoleError(problem)
}

/// Checks whether the post that this page responds to has already found that the link in the page's
/// path does not work. If so, the page does not try the link a second time.
///
/// # Errors
/// Returns the post's problem if the link does not work or there were too many attempts.
pub fn link_was_not_refused() -> Result<(), ConsoleError> {
    let problem = use_context::<Arc<Posted>>().and_then(|posted| posted.problem.clone());
    let stops = |problem: &Problem| {
        matches!(problem.code, ProblemCode::NotFound | ProblemCode::TooManyAttempts)
    };
    problem.filter(stops).map_or(Ok(()), |problem| Err(ConsoleError(problem)))
}

/// Sets the status of the response.
pub fn set_status(status: u16) {
    if let (Some(options), Ok(status)) =
        (use_context::<ResponseOptions>(), StatusCode::from_u16(status))
    {
        options.set_status(status);
    }
}

/// Turns a service's error into a server function's error. Logs the cause, and keeps only what the
/// caller may see.
pub fn failed(request: &ConsoleRequest, error: &authority::ServiceError) -> ConsoleError {
    error.log(&request.request_id);
    let mut problem = error.problem();
    problem.request_id = Some(request.request_id.clone());
    tell(problem)
}
