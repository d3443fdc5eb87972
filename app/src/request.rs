//! What the server gives a page that it renders, and a server function that it runs.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use authority::{
    Authority,
    context::{Actor, OpContext, Surface},
};
use axum::http::{StatusCode, header};
use domain::{
    ids::SessionId,
    problem::{Problem, ProblemCode},
    session::Visitor,
};
use leptos::prelude::{expect_context, use_context};
use leptos_axum::ResponseOptions;

use crate::{posted::Posted, problem::ConsoleError};

/// Who is asking.
#[derive(Clone, Debug, Default)]
pub struct RequestSession {
    /// The person whose session the request carries.
    pub visitor: Option<Visitor>,
    /// That session.
    pub id: Option<SessionId>,
    /// Whether the person must change their password before anything else.
    pub must_change_password: bool,
}

/// Why a service refused what a page or a server function needed: the door leaves it in the audit log. The first
/// refusal counts.
#[derive(Clone, Debug, Default)]
pub struct PageRefusal(Arc<OnceLock<ProblemCode>>);

impl PageRefusal {
    /// Notes the code of a refusal.
    pub fn note(&self, code: ProblemCode) {
        let _ = self.0.set(code);
    }

    /// Returns the code of the first refusal.
    pub fn code(&self) -> Option<ProblemCode> {
        self.0.get().copied()
    }
}

/// The request behind the page: a context.
#[derive(Clone)]
pub struct ConsoleRequest {
    /// The core.
    pub authority: Authority,
    /// Who is asking.
    pub session: Arc<RequestSession>,
    /// The request's id, as in the log.
    pub request_id: String,
    /// The caller's address.
    pub client_ip: Option<IpAddr>,
    /// The address under which people reach this instance, without a slash at its end.
    pub public_url: Arc<str>,
    /// Why it was refused, if it was.
    pub refusal: PageRefusal,
}

impl ConsoleRequest {
    /// The context of an operation on behalf of whoever is asking.
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

/// The request that is being answered.
pub fn request() -> ConsoleRequest {
    expect_context::<ConsoleRequest>()
}

/// The request that is being answered, and its operation context, for a server function of
/// somebody who is signed in.
pub fn signed_in() -> Result<(ConsoleRequest, OpContext), ConsoleError> {
    let request = request();
    if request.session.visitor.is_none() {
        return Err(tell(Problem::new(
            ProblemCode::Unauthenticated,
            "Your session has ended. Sign in again.",
        )));
    }
    let context = request.context();
    // A person who must change their password first is refused here for every page alike.
    context.authenticated().map_err(|error| failed(&request, &error))?;
    Ok((request, context))
}

/// Turns a problem into a server function's error, and gives the answer its status: that of the
/// page during server rendering, that of the function's own answer otherwise. One that says when to try again has
/// `Retry-After`. The audit log gets a refusal.
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

/// The problem of the post that this page answers, if it says that the link in the page's path does not work. The
/// link is not tried a second time.
///
/// # Errors
/// That problem.
pub fn link_was_not_refused() -> Result<(), ConsoleError> {
    let problem = use_context::<Arc<Posted>>().and_then(|posted| posted.problem.clone());
    let stops = |problem: &Problem| {
        matches!(problem.code, ProblemCode::NotFound | ProblemCode::TooManyAttempts)
    };
    problem.filter(stops).map_or(Ok(()), |problem| Err(ConsoleError(problem)))
}

/// Gives the page its status.
pub fn set_status(status: u16) {
    if let (Some(options), Ok(status)) =
        (use_context::<ResponseOptions>(), StatusCode::from_u16(status))
    {
        options.set_status(status);
    }
}

/// Turns a service's error into a server function's: logs its cause, and keeps what the caller may know.
pub fn failed(request: &ConsoleRequest, error: &authority::ServiceError) -> ConsoleError {
    error.log(&request.request_id);
    let mut problem = error.problem();
    problem.request_id = Some(request.request_id.clone());
    tell(problem)
}
