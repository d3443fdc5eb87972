//! Records who stopped or bound a token, and decides who may undo it. A member who manages their
//! own tokens cannot undo what an administrator did. The module `lifting` has the rule for
//! calling tokens.

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
    kernel::Actor,
    store::{
        descendants::{DescendantStop, How},
        stops::{self, Stoppers},
        tokens_change::{self, StoppedBy},
    },
};

/// Returns the caller with their standing towards the owner of a token. The record names the
/// calling token if another token created it, or if it stops itself. The actions of other calling
/// tokens count as those of a person.
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
    // Only rules of policy act anonymously.
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

/// Returns whether the owner of a token needs an administrator to undo this stop, because an
/// administrator or a previous owner of the token made it.
pub(super) fn by_administrator(stop: Option<&Stop>, owner: UserId) -> bool {
    stop.is_some_and(|stop| match stop.standing {
        Standing::Administrator => true,
        Standing::Owner => stop.user.as_ref().is_none_or(|user| user.id != owner),
        Standing::Policy => false,
    })
}

/// Returns whether an administrator expired this token or set its present expiry.
pub(super) fn end_is_fixed(token: &Token) -> bool {
    by_administrator(token.ended_by.as_ref(), token.user.id)
}

/// Returns the recorded stop in a form that can be written again.
pub(super) fn recorded(stop: Option<&Stop>, token: Option<TokenId>) -> Option<StoppedBy> {
    stop.map(|stop| StoppedBy {
        user: stop.user.as_ref().map(|user| user.id),
        standing: stop.standing,
        token,
    })
}

/// Returns the record of who disabled a token when `by` disables it; `None` if the token is already
/// disabled and its record stays as it is.
pub(crate) fn disabler(by: StoppedBy, before: &Token, stoppers: Stoppers) -> Option<StoppedBy> {
    if before.enabled {
        return Some(by);
    }
    stopped_again(by, (before.disabled_by.as_ref(), stoppers.disabled_by), before.user.id)
}

/// Returns the record of a token that is stopped along with one that created it. The rules are
/// those of every other stop, so that a second stop never makes the first one easier to undo.
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

/// Returns the new record of a token that `by` stops again; `None` if the record stays as it is. A
/// stop that a token may undo never replaces a person's stop.
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

/// Returns whether a stop by the caller replaces the recorded one. An administrator's stop replaces
/// a member's, because the member could undo their own.
fn outranks(by: StoppedBy, recorded: Option<&Stop>, owner: UserId) -> bool {
    by.standing == Standing::Administrator && !by_administrator(recorded, owner)
}

/// Returns the record of who set a token's expiry when `by` expires the token or sets an earlier
/// expiry. An administrator stays recorded.
pub(super) fn ender(by: StoppedBy, before: &Token, stoppers: Stoppers) -> StoppedBy {
    let was = before.ended_by.as_ref();
    let keeps = end_is_fixed(before) && !outranks(by, was, before.user.id);
    // A token that adds to another caller's stop doesn't become its author.
    let token = by.token.filter(|by| was.is_none() || stoppers.ended_by == Some(*by));
    let by = StoppedBy { token, ..by };
    recorded(was, token).filter(|_| keeps).unwrap_or(by)
}

/// Checks whether a caller may enable, extend, rotate or clone a token. Refuses a caller who
/// reaches only their own tokens if an administrator disabled or expired this one, and a calling
/// token that may not undo the stop ([`Lifting`]).
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
            "An administrator disabled this token. Only an administrator can undo that.",
        ));
    }
    if ended && end_is_fixed(token) {
        return Err(ServiceError::Forbidden(
            "An administrator expired this token. Only an administrator can undo that.",
        ));
    }
    Ok(())
}

/// Refuses a change that widens a token if the caller is a token that may not undo what was done
/// to it.
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
            "Another caller set this token's expiry. The calling token was created by another token, so it can't set a later expiry.",
        ));
    }
    Ok(())
}

/// Refuses a later expiry if an administrator set the present one and the caller reaches only their
/// own tokens.
pub(super) fn may_prolong(access: &Access, before: &Token) -> Result<(), ServiceError> {
    if access.own.is_some() && end_is_fixed(before) {
        return Err(ServiceError::Forbidden(
            "An administrator set the expiry of this token. Only an administrator can set a later one.",
        ));
    }
    Ok(())
}

/// Refuses a member who would undo the bounds that an administrator set on one of their tokens, and
/// a calling token that may not undo them. Unchanged bounds pass, except the start: a token that
/// expired before its start has lost it.
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
            "An administrator set the addresses of this token. Only an administrator can allow others.",
        ));
    }
    if after.rate_limit != before.rate_limit && !fixed.allow_rate(after.rate_limit) {
        return Err(ServiceError::Forbidden(
            "An administrator set the rate limit of this token. Only an administrator can raise it.",
        ));
    }
    if !fixed.allow_beginning(after.not_before, now) {
        return Err(ServiceError::Forbidden(
            "An administrator set the start of this token. Only an administrator can set an earlier one.",
        ));
    }
    Ok(())
}

/// Records the bounds that an administrator sets on another user's token: the changed ones, or all
/// bounds if the token gets another owner.
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

/// Records the bounds that an administrator gives to a new token of another user. Only an
/// administrator may widen them.
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

/// Copies the bounds that an administrator set on a member's token to the member's copy of it.
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
