//! The caller of a surface: the token in the request, in whichever header. Sessions are not
//! considered: clients of other products have none, and nothing that a browser sends by itself has
//! an effect here.

use authority::{Actor, OpContext, Surface};
use axum::extract::FromRequestParts as _;
use http::request::Parts;

use crate::{
    http::{
        again::Again,
        body,
        caller::{anonymous, authenticate},
        refusals::Asker,
    },
    problem::ApiError,
    request::credentials::presented,
    state::AppState,
};

/// Returns the context of an operation on this surface. Without a token, the context is anonymous
/// and the service refuses it.
pub(super) async fn by_token(
    parts: &mut Parts,
    state: &AppState,
    surface: Surface,
) -> Result<OpContext, ApiError> {
    let mut context = anonymous(parts, state, surface).await;
    let again = Again::from_request_parts(parts, state).await?;
    context.actor = match presented(&parts.headers)? {
        Some(token) => authenticate(state, &context, token).await?,
        None => Actor::Anonymous,
    };
    Asker::tell(&parts.extensions, &context);
    state.rate_limit.count(&parts.extensions, &context.actor)?;
    body::admit(&mut parts.extensions, state, &context, again)?;
    Ok(context)
}
