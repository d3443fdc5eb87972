//! A posted form and its response: a page, a redirect, or JSON for the hydrated form.

use app::{
    notice::Notice,
    posted::{Minted, Outcome, Posted},
};
use authority::ServiceError;
use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use domain::problem::{Problem, ProblemCode};
use http::{HeaderValue, StatusCode, header};

use super::{PASSWORD, cookies, form::Form, render, visit::Visit};
use crate::{
    http::{
        body::{self, Readers},
        refusals::Refused,
    },
    problem::ApiError,
    state::AppState,
};

/// A posted form.
pub(super) struct Post {
    /// The request and its visitor.
    pub(super) visit: Visit,
    /// The form's fields.
    pub(super) form: Form,
}

/// The result of a successful form.
#[expect(clippy::large_enum_variant, reason = "there is one per post, and it is moved once")]
pub(super) enum Done {
    /// A redirect that sets these cookies.
    Redirect {
        /// A path on this server.
        location: String,
        /// `Set-Cookie` values.
        cookies: Vec<HeaderValue>,
    },
    /// A new token.
    Minted(Minted),
}

impl FromRequest<AppState> for Post {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        visit.count(&parts.extensions).await?;
        // Forms to sign in and to set up contain their own credential.
        let body = body::read(Request::from_parts(parts, body), Readers::Anybody)
            .await
            .map_err(IntoResponse::into_response)?;
        match Form::read(&visit.headers, &body) {
            Ok(form) => Ok(Self { visit, form }),
            Err(problem) if visit.wants_json() => Err(ApiError::from(*problem).into_response()),
            Err(problem) => Err(render::problem(&visit, *problem).await),
        }
    }
}

impl Post {
    /// Returns a `Set-Cookie` value with a notice for the next page.
    pub(super) fn notice(&self, notice: &Notice) -> HeaderValue {
        cookies::leave_notice(notice, self.visit.state.cookies.is_secure())
    }

    /// Responds with the result. Without JavaScript, a failure shows the same page again, with the
    /// submitted fields and the errors.
    pub(super) async fn answer(self, result: Result<Done, ServiceError>) -> Response {
        match result {
            Ok(Done::Redirect { location, cookies }) => self.redirect(location, cookies),
            Ok(Done::Minted(minted)) => self.minted(minted).await,
            Err(error) if !self.visit.wants_json() && self.leads_to_password(&error) => {
                let mut response = self.redirect(PASSWORD.to_owned(), Vec::new());
                Refused::page(ProblemCode::PasswordChangeRequired).mark(&mut response);
                response
            }
            Err(error) if self.visit.wants_json() => ApiError::from(error).into_response(),
            Err(error) => {
                error.log(&self.visit.request.request_id);
                self.failed(error.problem()).await
            }
        }
    }

    /// Responds with the result of a form that is part of other pages and has no page of its own.
    pub(super) async fn answer_without_page(self, result: Result<Done, ServiceError>) -> Response {
        match result {
            Err(error) if !self.visit.wants_json() && !self.leads_to_password(&error) => {
                error.log(&self.visit.request.request_id);
                let mut response = render::problem(&self.visit, error.problem()).await;
                Refused::page(error.code()).mark(&mut response);
                response
            }
            result => self.answer(result).await,
        }
    }

    /// Reports whether to redirect to the password page: the person must first change their
    /// password. This includes forms that were refused for another reason, because the person could
    /// not see them again.
    fn leads_to_password(&self, error: &ServiceError) -> bool {
        let path = self.visit.uri.path();
        let needs_rights = ["/workspaces/", "/invitations/"].iter().any(|of| path.starts_with(of));
        matches!(error, ServiceError::PasswordChangeRequired)
            || needs_rights && self.visit.must_change_password()
    }

    fn redirect(&self, location: String, cookies: Vec<HeaderValue>) -> Response {
        let mut response = if self.visit.wants_json() {
            Json(Outcome::Redirect { location }).into_response()
        } else {
            let location = HeaderValue::try_from(location)
                .unwrap_or_else(|_| HeaderValue::from_static(app::next::HOME));
            (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
        };
        for cookie in cookies {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        no_store(response)
    }

    async fn minted(self, minted: Minted) -> Response {
        if self.visit.wants_json() {
            return no_store((StatusCode::CREATED, Json(Outcome::Minted(minted))).into_response());
        }
        let posted = Posted { minted: Some(minted), ..self.posted() };
        render::answer(&self.visit, posted, StatusCode::OK).await
    }

    async fn failed(self, mut problem: Problem) -> Response {
        problem.request_id = Some(self.visit.request.request_id.clone());
        let (status, retry_after) = (render::status_of(&problem), problem.retry_after_s);
        let code = problem.code;
        let session_ended = code == ProblemCode::Unauthenticated;
        let posted = Posted { problem: Some(problem), ..self.posted() };
        let mut response = if session_ended {
            render::kept(&self.visit, posted).await
        } else {
            render::answer(&self.visit, posted, status).await
        };
        // If the page itself was refused, it keeps its own status and mark.
        if response.extensions().get::<Refused>().is_none() {
            Refused::page(code).mark(&mut response);
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    fn posted(&self) -> Posted {
        Posted {
            path: self.visit.uri.path().to_owned(),
            values: self.form.clone().shown(),
            problem: None,
            minted: None,
        }
    }
}

/// Forbids storing the response.
fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
