//! The caller of the REST API: the context of the operation.

use authority::{Actor, OpContext, Rejection, Surface};
use axum::extract::FromRequestParts;
use http::{header, request::Parts};

use super::{again::Again, body, refusals::Asker};
use crate::{
    problem::ApiError,
    request::{
        client_ip::{client_ip, peer},
        credentials::presented,
        id::RequestId,
    },
    state::AppState,
};

/// The context of the operation. The actor is the token that the request presents or, without one,
/// the person whose session it carries, so that the documentation page can make calls. A request
/// with neither is anonymous: the service refuses it with its own error.
pub(crate) struct Caller(pub(crate) OpContext);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let mut context = anonymous(parts, state, Surface::Rest).await;
        let again = Again::from_request_parts(parts, state).await?;
        context.actor = match presented(&parts.headers)? {
            Some(token) => authenticate(state, &context, token).await?,
            None => match state.cookies.read(&parts.headers) {
                Some(secret) => {
                    state.authority.sessions().resolve(&context, &secret).await?.map_or(
                        Actor::Anonymous,
                        |session| {
                            context.session = Some(session.id);
                            session.actor()
                        },
                    )
                }
                None => Actor::Anonymous,
            },
        };
        Asker::tell(&parts.extensions, &context);
        state.rate_limit.count(&parts.extensions, &context.actor)?;
        body::admit(&mut parts.extensions, state, &context, again)?;
        Ok(Self(context))
    }
}

/// Returns the context of an anonymous caller.
pub(crate) async fn anonymous(parts: &mut Parts, state: &AppState, surface: Surface) -> OpContext {
    let Ok(id) = RequestId::from_request_parts(parts, state).await;
    let address = client_ip(peer(&parts.extensions), &parts.headers, &state.trusted_proxies);
    let id = id.as_str().to_owned();
    let mut context = state.authority.context(Actor::Anonymous, surface, id, address);
    context.user_agent = parts
        .headers
        .get(header::USER_AGENT)
        .map(|agent| String::from_utf8_lossy(agent.as_bytes()).into());
    Asker::tell(&parts.extensions, &context);
    context
}

/// Returns the actor that presents this token.
pub(crate) async fn authenticate(
    state: &AppState,
    context: &OpContext,
    token: &str,
) -> Result<Actor, ApiError> {
    state.authority.verification().authenticate(context, token).await.map_err(|rejection| {
        match rejection {
            Rejection::Refused(decision) => ApiError::decided(&decision, &[]),
            Rejection::Failed(error) => error.into(),
        }
    })
}
