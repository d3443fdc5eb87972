//! Who stopped a token, and who may undo that: a member who manages their own tokens cannot undo what an
//! administrator did.

use domain::{
    ids::UserId,
    token::{Standing, Stop, Token},
};
use time::OffsetDateTime;

use crate::{
    OpContext, ServiceError, access::Access, context::Actor, store::tokens_change::StoppedBy,
};

/// The caller, in the standing that they have towards a token's owner.
pub(super) fn stopped_by(ctx: &OpContext, token: &Token) -> StoppedBy {
    StoppedBy { user: ctx.user_id(), standing: standing(ctx, token.user.id) }
}

/// The standing of the caller towards the owner of a token.
pub(super) fn standing(ctx: &OpContext, owner: UserId) -> Standing {
    match (&ctx.actor, ctx.user_id()) {
        // Only a rule of policy does anything by itself.
        (Actor::Anonymous, _) => Standing::Policy,
        (_, Some(user)) if user == owner => Standing::Owner,
        _ => Standing::Administrator,
    }
}

/// Returns whether the owner of a token may not undo this by themselves: an administrator did it, or somebody
/// who owned the token before.
pub(super) fn by_administrator(stop: Option<&Stop>, owner: UserId) -> bool {
    stop.is_some_and(|stop| match stop.standing {
        Standing::Administrator => true,
        Standing::Owner => stop.user.as_ref().is_none_or(|user| user.id != owner),
        Standing::Policy => false,
    })
}

/// Returns whether an administrator ended this token or set it the end that it has.
pub(super) fn end_is_fixed(token: &Token) -> bool {
    by_administrator(token.ended_by.as_ref(), token.user.id)
}

/// What is recorded, to be written again.
pub(super) fn recorded(stop: Option<&Stop>) -> Option<StoppedBy> {
    stop.map(|stop| StoppedBy {
        user: stop.user.as_ref().map(|user| user.id),
        standing: stop.standing,
    })
}

/// Whether a stop by the caller must be recorded in place of the one that is there: a member would
/// otherwise undo what an administrator wanted stopped, too.
pub(super) fn outranks(by: StoppedBy, recorded: Option<&Stop>, owner: UserId) -> bool {
    by.standing == Standing::Administrator && !by_administrator(recorded, owner)
}

/// Returns who is to be recorded as the one who ended a token, when `by` ends it or sets it an earlier end: an
/// administrator stays recorded.
pub(super) fn ender(by: StoppedBy, before: &Token) -> StoppedBy {
    let was = before.ended_by.as_ref();
    let keeps = end_is_fixed(before) && !outranks(by, was, before.user.id);
    recorded(was).filter(|_| keeps).unwrap_or(by)
}

/// Lets a caller enable, prolong, rotate or clone a token, unless they reach only their own tokens and
/// an administrator disabled or ended this one.
pub(super) fn may_lift(
    access: &Access,
    token: &Token,
    now: OffsetDateTime,
) -> Result<(), ServiceError> {
    if access.own.is_none() {
        return Ok(());
    }
    if !token.enabled && by_administrator(token.disabled_by.as_ref(), token.user.id) {
        return Err(ServiceError::Forbidden(
            "An administrator disabled this token: only an administrator may undo that.",
        ));
    }
    let ended = token.expires_at.is_some_and(|end| end <= now.max(token.updated_at));
    if ended && end_is_fixed(token) {
        return Err(ServiceError::Forbidden(
            "An administrator ended this token: only an administrator may undo that.",
        ));
    }
    Ok(())
}

/// Refuses a later end to a caller who reaches only their own tokens, where an administrator set the end
/// that is there.
pub(super) fn may_prolong(access: &Access, before: &Token) -> Result<(), ServiceError> {
    if access.own.is_some() && end_is_fixed(before) {
        return Err(ServiceError::Forbidden(
            "An administrator set the end of this token: only an administrator may set a later one.",
        ));
    }
    Ok(())
}
