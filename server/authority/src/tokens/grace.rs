//! Limits a secret that a rotation replaced and that still works for a while. Requests with it keep
//! working, but nothing that it grants outlasts it: neither the tokens that it creates or changes,
//! nor its own token.

use domain::{ids::SecretId, problem::FieldError};
use time::{Duration, OffsetDateTime};

use super::renewal::NOT_RENEWABLE;
use crate::{OpContext, ServiceError, kernel::Actor, store::secrets_change::WorkingSecret};

/// Refuses a replaced secret if the newer one was used, so that a leaked old secret cannot obtain
/// the newer one or its successor.
pub(crate) fn refuse_superseded(
    working: &[WorkingSecret],
    presented: SecretId,
) -> Result<(), ServiceError> {
    let newer_used = working.iter().any(|secret| secret.current && secret.used);
    match working.iter().find(|secret| secret.id == presented) {
        Some(secret) if secret.current || !newer_used => Ok(()),
        Some(_) => Err(ServiceError::Forbidden(
            "A newer secret of this token is in use. Present that one instead.",
        )),
        // The secret expired between the authentication and the lock.
        None => Err(ServiceError::Unauthenticated),
    }
}

/// Returns the expiry of the presented secret, if a newer one replaces it.
pub(super) fn end_of_secret(ctx: &OpContext) -> Option<OffsetDateTime> {
    match &ctx.actor {
        Actor::Token(facts) => facts.secret.expires_at,
        Actor::Anonymous | Actor::Operator | Actor::User(_) | Actor::Restricted(_) => None,
    }
}

/// Returns the lifetime to record for the end of a token that the caller creates. If the end comes
/// from a secret in its grace, the token must not renew itself beyond it, so it gets the shortest
/// lifetime that can be recorded.
pub(crate) fn renewable(ctx: &OpContext, lifetime: Option<Duration>) -> Option<Duration> {
    match end_of_secret(ctx) {
        Some(_) => lifetime.map(|_| NOT_RENEWABLE),
        None => lifetime,
    }
}

/// Names the bound that an expiry exceeds: the expiry of the secret, if the secret expires before
/// its token.
pub(super) fn name_bound(ctx: &OpContext, errors: &mut [FieldError]) {
    if end_of_secret(ctx).is_some() {
        for error in errors.iter_mut().filter(|error| error.field == "expires_at") {
            "must not be later than the expiry of the presented secret, which was replaced"
                .clone_into(&mut error.message);
        }
    }
}
