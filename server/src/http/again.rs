//! Reauthentication of callers: for each part of a long response, and after a body that took time
//! to arrive.

use authority::{Actor, OpContext, ServiceError, secret::SessionSecret};
use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    problem::ApiError,
    request::credentials::{Credential, presented_or_session},
    state::AppState,
};

/// The credential of a long request. While the request runs, the token may be deleted, the session
/// may end, and either may lose rights. Later steps therefore run for a caller that is still
/// authenticated at that time.
#[derive(Clone)]
pub(crate) struct Again {
    token: Option<String>,
    session: Option<SessionSecret>,
}

impl FromRequestParts<AppState> for Again {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        Ok(match presented_or_session(&parts.headers, SessionSecret::has_form)? {
            Some(Credential::Token(text)) => Self::token(text),
            Some(Credential::Session(text)) => Self::of_either(text),
            None => Self { token: None, session: state.cookies.read(&parts.headers) },
        })
    }
}

impl Again {
    /// Returns the credential of a caller who presents this token.
    pub(crate) fn token(text: &str) -> Self {
        Self { token: Some(text.to_owned()), session: None }
    }

    /// Returns the credential of a caller who presents a text in the form of a session's secret,
    /// which may still be a token.
    pub(crate) fn of_either(text: &str) -> Self {
        Self { token: Some(text.to_owned()), session: Some(SessionSecret::new(text.to_owned())) }
    }

    /// Returns the credential of a person with this session.
    pub(crate) const fn session(secret: SessionSecret) -> Self {
        Self { token: None, session: Some(secret) }
    }

    /// Refuses the caller if they have lost rights since this context was created.
    ///
    /// # Errors
    /// `Unauthenticated`, `PasswordChangeRequired`, `Forbidden`.
    pub(crate) async fn check(
        &self,
        state: &AppState,
        context: &OpContext,
    ) -> Result<(), ServiceError> {
        let now = self.renew(state, context).await?;
        context.actor.check_again(&now.actor)
    }

    /// Returns a current context for the caller of `context`.
    ///
    /// # Errors
    /// `Unauthenticated` if the credential is no longer accepted.
    pub(crate) async fn renew(
        &self,
        state: &AppState,
        context: &OpContext,
    ) -> Result<OpContext, ServiceError> {
        let mut context = context.clone();
        context.now = state.authority.now();
        context.actor = match (&context.actor, &self.token, &self.session) {
            (Actor::Token(_), Some(token), _) => {
                state.authority.verification().authenticate_again(&context, token).await?
            }
            (Actor::User(_) | Actor::Restricted(_), _, Some(secret)) => {
                let session = state.authority.sessions().resolve(&context, secret).await?;
                session.ok_or(ServiceError::Unauthenticated)?.actor()
            }
            _ => return Err(ServiceError::Unauthenticated),
        };
        Ok(context)
    }
}
