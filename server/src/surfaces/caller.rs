//! Who calls a surface: the token that the request presents, in whichever header. A session is not
//! looked at: clients of other products have none, and what a browser sends by itself moves nothing here.

use authority::{Actor, OpContext, Surface};
use axum::extract::FromRequestParts as _;
use http::request::Parts;

use crate::http::{
    AppState,
    again::Again,
    body,
    caller::{anonymous, authenticate},
    credentials::presented,
    problem::ApiError,
    refusals::Asker,
};

/// The context of an operation by way of this surface. Without a token it is anonymous: the service
/// refuses it.
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
