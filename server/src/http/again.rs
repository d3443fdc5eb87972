//! Callers of long answers, authenticated anew for each part.

use authority::{Actor, OpContext, ServiceError, secret::SessionSecret};
use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{
    AppState,
    credentials::{Credential, presented_or_session},
    problem::ApiError,
};

/// The credential of a request whose answer is written part by part. A token may be deleted meanwhile, a
/// session may end, and either may lose rights: what is written afterwards is written for a caller that is
/// known then.
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
        let of = |text: &str| SessionSecret::new(text.to_owned());
        let (token, session) = match presented_or_session(&parts.headers, SessionSecret::has_form)?
        {
            Some(Credential::Token(text)) => (Some(text.to_owned()), None),
            Some(Credential::Session(text)) => (Some(text.to_owned()), Some(of(text))),
            None => (None, state.cookies.read(&parts.headers)),
        };
        Ok(Self { token, session })
    }
}

impl Again {
    /// The context at this moment of the caller that this one was for.
    ///
    /// # Errors
    /// `Unauthenticated` when the credential is no longer accepted.
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
            (Actor::User(_), _, Some(secret)) => {
                let session = state.authority.sessions().resolve(&context, secret).await?;
                session.ok_or(ServiceError::Unauthenticated)?.actor()
            }
            _ => return Err(ServiceError::Unauthenticated),
        };
        Ok(context)
    }
}
