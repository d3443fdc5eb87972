//! Decides what a token may undo. People stop a token because somebody else may have its secret, and that somebody may
//! have the secrets of other tokens of its family. So for a token that asks:
//!
//! 1. It widens no token that made it, directly or through others, and none that got a secret of it. It does not make itself
//!    act as another user.
//! 2. It widens nothing while a token that made it is disabled or was ended, and nothing once such a token is deleted.
//! 3. If another token made it, it lifts only the stops that it set itself: it does not undo what people, policy and
//!    other tokens did. A stop of which nobody knows who set it is one of those.
//! 4. If a person or the command line made it, it lifts every stop of a token that it could have made. Such tokens automate what
//!    administrators do.
//!
//! 5. It gets no secret of a token that made it, directly or through others, or that got a secret of it: it neither
//!    rotates nor reveals one, whether that one is stopped or not.
//!
//! To lift a stop is to enable, prolong, unbind, rotate or clone a token that is stopped. Deleted tokens stay deleted.

use domain::{bounds::FixedBounds, ids::TokenId, token::Token};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    access::Access,
    context::Actor,
    store::stops::{self, Lineage, Stoppers},
};

/// The relation of a token that asks to another one, read before the other one is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreseen {
    asks: TokenId,
    other: TokenId,
    lineage: Lineage,
    /// The last row of the workspace's log then.
    last_row: i64,
}

/// Reads what a token that asks has to do with another one, before that one is locked: the longer the log about them is, the
/// longer it takes, and nobody else changes a token that is locked. [`Lifting::of`] reads it again if the log has other rows by
/// then.
pub(super) async fn foresee(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    other: TokenId,
) -> Result<(), ServiceError> {
    let Actor::Token(facts) = &ctx.actor else { return Ok(()) };
    let (asks, tenant) = (facts.token_id, access.tenant());
    let last_row = stops::last_row(connection, tenant).await?;
    let lineage = stops::lineage(connection, tenant, (asks, other), ctx.now).await?;
    // Of several tokens, the first one stays; the others are read when they are locked.
    let _ = access.foreseen.set(Foreseen { asks, other, lineage, last_row });
    Ok(())
}

/// What a token that asks may undo of another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifting {
    asks: TokenId,
    lineage: Lineage,
    stoppers: Stoppers,
}

impl Lifting {
    /// Returns what the caller may undo of a token; `None` for callers who are not tokens.
    pub(super) async fn of(
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        token: TokenId,
    ) -> Result<Option<Self>, ServiceError> {
        let Actor::Token(facts) = &ctx.actor else { return Ok(None) };
        let (asks, tenant) = (facts.token_id, access.tenant());
        let foreseen =
            access.foreseen.get().filter(|seen| (seen.asks, seen.other) == (asks, token));
        let lineage = match foreseen {
            Some(seen) if stops::last_row(connection, tenant).await? == seen.last_row => {
                seen.lineage
            }
            _ => stops::lineage(connection, tenant, (asks, token), ctx.now).await?,
        };
        let stoppers = stops::stoppers(connection, tenant, token).await?;
        Ok(Some(Self { asks, lineage, stoppers }))
    }

    /// Refuses to lift the stops of a token that is disabled, or has `ended`.
    pub(super) fn check_stops(&self, token: &Token, ended: bool) -> Result<(), ServiceError> {
        self.check_widening()?;
        let others = !token.enabled && !self.has_set(self.stoppers.disabled_by)
            || ended && token.ended_by.is_some() && !self.has_set(self.stoppers.ended_by);
        if others {
            return Err(ServiceError::Forbidden(
                "Another token made the token that asks: it undoes only what it did itself. A person may undo this, or a token that a person made.",
            ));
        }
        Ok(())
    }

    /// Refuses the secret of a token that made the one that asks, or that got a secret of it.
    pub(super) fn check_secret(&self) -> Result<(), ServiceError> {
        if self.lineage.knows_secret {
            return Err(ServiceError::Forbidden(
                "The token made the token that asks, or got its secret: a token cannot rotate or reveal such a token. A person can, or a token that a person made.",
            ));
        }
        Ok(())
    }

    /// Refuses to widen a token in any way.
    pub(super) fn check_widening(&self) -> Result<(), ServiceError> {
        if self.lineage.knows_secret {
            return Err(ServiceError::Forbidden(
                "The token made the token that asks, or got its secret: a token cannot undo what was done to such a token.",
            ));
        }
        if self.lineage.maker_is_stopped {
            return Err(ServiceError::Forbidden(
                "A token that made the token that asks was disabled, ended or deleted: until that is undone, what it made can widen no token. A person can, or a token that a person made.",
            ));
        }
        Ok(())
    }

    /// Refuses a token that would make itself act as somebody else.
    pub(super) fn check_user(&self, before: &Token, after: &Token) -> Result<(), ServiceError> {
        if before.id == self.asks && before.user.id != after.user.id {
            return Err(ServiceError::Forbidden(
                "A token cannot change the user that it acts as itself.",
            ));
        }
        Ok(())
    }

    /// Returns whether the token that asks must stay within bounds that an administrator fixed: unless it did so itself.
    pub(super) fn is_bound_by(&self, fixed: &FixedBounds) -> bool {
        !self.has_set(fixed.by_token)
    }

    /// Returns whether a token keeps the end that it has, at the latest.
    pub(super) fn keeps_end(&self, token: &Token) -> bool {
        self.check_widening().is_err()
            || token.ended_by.is_some() && !self.has_set(self.stoppers.ended_by)
    }

    /// Returns whether the token that asks may undo what this token did; `None` is anybody else.
    fn has_set(&self, token: Option<TokenId>) -> bool {
        !self.lineage.made_by_token || token == Some(self.asks)
    }
}
