//! Records who stopped or bound a token, and decides who may undo it: a member who manages their own tokens
//! cannot undo what an administrator did. `lifting` has the rule for tokens that ask.

use domain::{
    bounds::{FixedBounds, ends_later},
    ids::{TokenId, UserId},
    token::{Standing, Stop, Token},
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{draft::CheckedDraft, lifting::Lifting};
use crate::{
    OpContext, ServiceError,
    access::Access,
    context::Actor,
    store::{
        descendants::{DescendantStop, How},
        stops::{self, Stoppers},
        tokens_change::{self, StoppedBy},
    },
};

/// Returns the caller, in the standing that they have towards the owner of a token. A token is named if another one made
/// it, or if it stops itself: what other tokens do counts as done by a person.
pub(super) async fn stopped_by(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (id, owner): (TokenId, UserId),
) -> Result<StoppedBy, ServiceError> {
    let token = named(connection, ctx, access, id).await?;
    Ok(StoppedBy { user: ctx.user_id(), standing: standing(ctx, owner), token })
}

async fn named(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    target: TokenId,
) -> Result<Option<TokenId>, ServiceError> {
    let Actor::Token(facts) = &ctx.actor else { return Ok(None) };
    let asks = facts.token_id;
    let is_named =
        asks == target || stops::is_made_by_token(connection, access.tenant(), asks).await?;
    Ok(is_named.then_some(asks))
}

/// Returns the standing of the caller towards the owner of a token.
pub(super) fn standing(ctx: &OpContext, owner: UserId) -> Standing {
    // Only a rule of policy does anything by itself.
    standing_of(ctx.user_id(), matches!(ctx.actor, Actor::Anonymous), owner)
}

/// Returns the standing of a user, or of a rule of policy, towards the owner of a token.
pub(super) fn standing_of(user: Option<UserId>, by_policy: bool, owner: UserId) -> Standing {
    if by_policy {
        Standing::Policy
    } else if user == Some(owner) {
        Standing::Owner
    } else {
        Standing::Administrator
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

/// Returns the recorded values, to be written again.
pub(super) fn recorded(stop: Option<&Stop>, token: Option<TokenId>) -> Option<StoppedBy> {
    stop.map(|stop| StoppedBy {
        user: stop.user.as_ref().map(|user| user.id),
        standing: stop.standing,
        token,
    })
}

/// Returns the record of who disabled a token, when `by` disables it; `None` when the token is disabled and its record stays
/// as it is.
pub(crate) fn disabler(by: StoppedBy, before: &Token, stoppers: Stoppers) -> Option<StoppedBy> {
    if before.enabled {
        return Some(by);
    }
    stopped_again(by, (before.disabled_by.as_ref(), stoppers.disabled_by), before.user.id)
}

/// Returns the record of a token that is stopped because of one that made it. The rules are those of every other stop, so
/// that nobody loosens a stop by another one.
pub(super) fn record_of_stop(
    stop: &DescendantStop,
    before: &Token,
    stoppers: Stoppers,
    now: OffsetDateTime,
) -> StoppedBy {
    let standing = standing_of(stop.by, stop.by_policy, before.user.id);
    let by = StoppedBy { user: stop.by, standing, token: None };
    let (was, record) = if stop.how == How::Disable {
        (before.disabled_by.as_ref(), disabler(by, before, stoppers))
    } else if before.expires_at.is_some_and(|end| end <= now) {
        let was = before.ended_by.as_ref();
        (was, stopped_again(by, (was, stoppers.ended_by), before.user.id))
    } else {
        (None, Some(ender(by, before, stoppers)))
    };
    record.or_else(|| recorded(was, None)).unwrap_or(by)
}

/// Returns the record of a stop, when `by` stops a token once more; `None` when the record stays as it is. A person's stop
/// is never replaced by one that a token may lift.
pub(super) fn stopped_again(
    by: StoppedBy,
    (was, token): (Option<&Stop>, Option<TokenId>),
    owner: UserId,
) -> Option<StoppedBy> {
    if outranks(by, was, owner) {
        Some(StoppedBy { token: by.token.filter(|by| token == Some(*by)), ..by })
    } else if by.token.is_none() && token.is_some() {
        Some(recorded(was, None).unwrap_or(by))
    } else {
        None
    }
}

/// Whether a stop by the caller replaces the recorded one. An administrator's stop replaces a member's: the
/// member could undo their own.
fn outranks(by: StoppedBy, recorded: Option<&Stop>, owner: UserId) -> bool {
    by.standing == Standing::Administrator && !by_administrator(recorded, owner)
}

/// Returns who is to be recorded as the one who ended a token, when `by` ends it or sets it an earlier end: an
/// administrator stays recorded.
pub(super) fn ender(by: StoppedBy, before: &Token, stoppers: Stoppers) -> StoppedBy {
    let was = before.ended_by.as_ref();
    let keeps = end_is_fixed(before) && !outranks(by, was, before.user.id);
    // What somebody else did, a token does not make its own by doing more.
    let token = by.token.filter(|by| was.is_none() || stoppers.ended_by == Some(*by));
    let by = StoppedBy { token, ..by };
    recorded(was, token).filter(|_| keeps).unwrap_or(by)
}

/// Lets a caller enable, prolong, rotate or clone a token, unless they reach only their own tokens and an
/// administrator disabled or ended this one, or they are a token that may not undo that ([`Lifting`]).
pub(super) async fn may_lift(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    token: &Token,
) -> Result<(), ServiceError> {
    let ended = token.expires_at.is_some_and(|end| end <= ctx.now.max(token.updated_at));
    if token.enabled && !ended {
        return Ok(());
    }
    if let Some(lifting) = Lifting::of(connection, ctx, access, token.id).await? {
        lifting.check_stops(token, ended)?;
    }
    if access.own.is_none() {
        return Ok(());
    }
    if !token.enabled && by_administrator(token.disabled_by.as_ref(), token.user.id) {
        return Err(ServiceError::Forbidden(
            "An administrator disabled this token: only an administrator may undo that.",
        ));
    }
    if ended && end_is_fixed(token) {
        return Err(ServiceError::Forbidden(
            "An administrator ended this token: only an administrator may undo that.",
        ));
    }
    Ok(())
}

/// Refuses a change that widens a token to a token that may not undo what was done to it.
pub(super) async fn may_widen_by_token(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (before, after): (&Token, &Token),
) -> Result<(), ServiceError> {
    let Some(lifting) = Lifting::of(connection, ctx, access, before.id).await? else {
        return Ok(());
    };
    lifting.check_widening()?;
    lifting.check_user(before, after)?;
    if ends_later(after.expires_at, before.expires_at) && lifting.keeps_end(before) {
        return Err(ServiceError::Forbidden(
            "Somebody else gave this token its end: the token that asks, which another token made, cannot set a later one.",
        ));
    }
    Ok(())
}

/// Refuses a later end to a caller who reaches only their own tokens, if an administrator set the present
/// end.
pub(super) fn may_prolong(access: &Access, before: &Token) -> Result<(), ServiceError> {
    if access.own.is_some() && end_is_fixed(before) {
        return Err(ServiceError::Forbidden(
            "An administrator set the end of this token: only an administrator may set a later one.",
        ));
    }
    Ok(())
}

/// Refuses a member who would undo the bounds that an administrator set on one of their tokens, and a token that may not
/// undo them. Bounds that stay as they are pass, except a beginning: a token that ended before it began has lost it.
pub(super) async fn may_unbind(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (before, after): (&Token, &Token),
) -> Result<(), ServiceError> {
    let now = ctx.now;
    if access.own.is_none() && !matches!(ctx.actor, Actor::Token(_)) {
        return Ok(());
    }
    let fixed = tokens_change::fixed_bounds(connection, access.tenant(), before.id).await?;
    if fixed.is_empty() {
        return Ok(());
    }
    let lifting = Lifting::of(connection, ctx, access, before.id).await?;
    let is_bound = lifting.is_some_and(|lifting| lifting.is_bound_by(&fixed));
    if access.own.is_none() && !is_bound {
        return Ok(());
    }
    if after.ip_allow != before.ip_allow && !fixed.allow_addresses(&after.ip_allow) {
        return Err(ServiceError::Forbidden(
            "An administrator set the addresses of this token: only an administrator may allow others.",
        ));
    }
    if after.rate_limit != before.rate_limit && !fixed.allow_rate(after.rate_limit) {
        return Err(ServiceError::Forbidden(
            "An administrator set the rate limit of this token: only an administrator may raise it.",
        ));
    }
    if !fixed.allow_beginning(after.not_before, now) {
        return Err(ServiceError::Forbidden(
            "An administrator set when this token begins: only an administrator may set an earlier moment.",
        ));
    }
    Ok(())
}

/// Notes the bounds that an administrator sets on a token of somebody else: those that change, and all of a
/// token that gets another owner.
pub(super) async fn note_bounds(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (before, after): (&Token, &Token),
) -> Result<(), ServiceError> {
    if standing(ctx, after.user.id) != Standing::Administrator {
        return Ok(());
    }
    let tenant = access.tenant();
    let was = tokens_change::fixed_bounds(connection, tenant, after.id).await?;
    let handed = before.user.id != after.user.id;
    let mut fixed = was.clone();
    if handed || before.ip_allow != after.ip_allow {
        fixed.ip_allow.clone_from(&after.ip_allow);
    }
    if handed || before.rate_limit != after.rate_limit {
        fixed.rate_limit = after.rate_limit;
    }
    if handed || before.not_before != after.not_before {
        fixed.not_before = after.not_before;
    }
    let by = named(connection, ctx, access, after.id).await?;
    fixed.by_token = by.filter(|by| was.is_empty() || was.by_token == Some(*by));
    if fixed != was {
        tokens_change::set_fixed_bounds(connection, tenant, after.id, &fixed).await?;
    }
    Ok(())
}

/// Fixes the bounds of a new token that only an administrator may widen: those that an administrator gives a token of
/// somebody else.
pub(crate) async fn fix_bounds(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (id, owner): (TokenId, UserId),
    draft: &CheckedDraft,
) -> Result<(), ServiceError> {
    let mut fixed = FixedBounds {
        ip_allow: draft.ip_allow.clone(),
        rate_limit: draft.rate_limit,
        not_before: draft.not_before,
        by_token: None,
    };
    if standing(ctx, owner) == Standing::Administrator && !fixed.is_empty() {
        fixed.by_token = named(connection, ctx, access, id).await?;
        tokens_change::set_fixed_bounds(connection, access.tenant(), id, &fixed).await?;
    }
    Ok(())
}

/// Gives a member's copy of their token the bounds that an administrator set on the original.
pub(super) async fn copy_bounds(
    connection: &mut PgConnection,
    access: &Access,
    origin: &Token,
    copy: &mut Token,
) -> Result<(), ServiceError> {
    if access.own.is_none() {
        return Ok(());
    }
    let tenant = access.tenant();
    let fixed = tokens_change::fixed_bounds(connection, tenant, origin.id).await?;
    if !fixed.is_empty() {
        tokens_change::set_fixed_bounds(connection, tenant, copy.id, &fixed).await?;
    }
    if end_is_fixed(origin) {
        let ended = recorded(origin.ended_by.as_ref(), None);
        let lifetime = copy.expires_at.map(|end| end - copy.created_at);
        tokens_change::set_lifetime(connection, tenant, copy.id, lifetime, ended).await?;
        copy.ended_by.clone_from(&origin.ended_by);
    }
    Ok(())
}
