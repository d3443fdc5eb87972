//! The caller: a token, or a person who has logged in.

use authority::{Actor, OpContext, Rejection, ServiceError, Surface, secret::SessionSecret};
use axum::extract::FromRequestParts;
use domain::{decision::DecisionCode, ids::SessionId, problem::ProblemCode};
use http::request::Parts;

use crate::{
    http::{again::Again, body, caller::anonymous, refusals::Asker},
    problem::ApiError,
    request::credentials::{Credential, CredentialError, presented_or_session},
    state::AppState,
};

/// The context of the operation. Unauthenticated callers are refused at once, before anything in
/// their request is reported.
pub(super) struct Caller(pub(super) OpContext);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let mut context = anonymous(parts, state, Surface::Kriten).await;
        let again;
        context.actor = match presented_or_session(&parts.headers, SessionSecret::has_form) {
            Ok(Some(Credential::Token(text))) => {
                again = Again::token(text);
                token(state, &context, text).await?
            }
            Ok(Some(Credential::Session(text))) => {
                let (actor, session) = session(state, &context, text).await?;
                context.session = session;
                again = Again::of_either(text);
                actor
            }
            Ok(None) => return Err(ServiceError::Unauthenticated.into()),
            Err(CredentialError::Multiple) => return Err(CredentialError::Multiple.into()),
            Err(CredentialError::Bearer | CredentialError::Plain) => {
                return Err(refused(DecisionCode::Malformed));
            }
        };
        Asker::tell(&parts.extensions, &context);
        state.rate_limit.count(&parts.extensions, &context.actor)?;
        body::admit(&mut parts.extensions, state, &context, again)?;
        Ok(Self(context))
    }
}

async fn session(
    state: &AppState,
    context: &OpContext,
    text: &str,
) -> Result<(Actor, Option<SessionId>), ApiError> {
    // An imported token may have any form. A cached token costs no lookup.
    if state.authority.verification().remembers(text) {
        return Ok((token(state, context, text).await?, None));
    }
    let secret = SessionSecret::new(text.to_owned());
    match state.authority.sessions().resolve(context, &secret).await? {
        Some(session) => {
            let id = session.id;
            Ok((session.actor(), Some(id)))
        }
        None => Ok((token(state, context, text).await?, None)),
    }
}

async fn token(state: &AppState, context: &OpContext, text: &str) -> Result<Actor, ApiError> {
    state.authority.verification().authenticate(context, text).await.map_err(|rejection| {
        match rejection {
            Rejection::Refused(decision) if decision.code == DecisionCode::RateLimited => {
                ApiError::decided(&decision, &[])
            }
            Rejection::Refused(decision) => refused(decision.code),
            Rejection::Failed(error) => error.into(),
        }
    })
}

/// Formats a refusal in Kriten's words.
fn refused(code: DecisionCode) -> ApiError {
    let text = match code {
        DecisionCode::Expired => "token expired",
        DecisionCode::Disabled | DecisionCode::NotYetValid => "token not enabled",
        code if code.is_forbidden() => return ApiError::refused(code, &[]),
        _ => "invalid token",
    };
    ApiError::new(ProblemCode::InvalidToken, text)
}
