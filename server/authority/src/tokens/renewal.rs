//! Limits how long a token renews itself if another token gave it its end. A token that has an end
//! grants nothing that outlasts it, neither at once nor through later self-rotations.

use domain::token::Token;
use sqlx::PgConnection;
use time::Duration;

use super::grace::end_of_secret;
use crate::{OpContext, ServiceError, access::Access, kernel::Actor, store::tokens_change};

/// The lifetime that is recorded for an end that the token itself cannot renew.
pub(super) const NOT_RENEWABLE: Duration = Duration::MICROSECOND;

/// Returns whether a token could outlast the caller by renewing what the caller grants it. That
/// is possible if the caller is another token that has an end or presents a replaced secret.
/// Tokens that the caller created itself are the exception: the caller's end bounds each of their
/// self-rotations.
pub(super) async fn could_outlast_caller(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    token: &Token,
) -> Result<bool, ServiceError> {
    let Actor::Token(facts) = &ctx.actor else { return Ok(false) };
    if facts.token_id == token.id {
        return Ok(false);
    }
    if end_of_secret(ctx).is_some() {
        return Ok(true);
    }
    if facts.expires_at.is_none() {
        return Ok(false);
    }
    let made = token.parent == Some(facts.token_id);
    Ok(!(made && tokens_change::is_within_parent(connection, access.tenant(), token.id).await?))
}

/// Returns the lifetime of a token that gets an earlier end. It is never longer than the
/// recorded one.
pub(super) fn lowered(recorded: Option<Duration>, given: Option<Duration>) -> Option<Duration> {
    let given = given.filter(|given| given.is_positive());
    match (recorded, given) {
        (Some(recorded), Some(given)) => Some(recorded.min(given)),
        (one, other) => one.or(other),
    }
}
