//! Decides what a calling token may undo. People stop a token because its secret may have leaked,
//! and the person who found it may also have the secrets of related tokens. The rules for a calling
//! token are therefore:
//!
//! 1. It widens no token that created it, directly or through others, and no token that obtained a
//!    secret of it. It doesn't change the user that it acts as itself.
//! 2. It widens nothing while a token that created it is disabled or was expired, and never again
//!    once such a token is deleted.
//! 3. If another token created it, it lifts only the stops that it set itself. It doesn't undo what
//!    people, policy and other tokens did. A stop without a recorded author counts as one of those.
//! 4. If a person or the command line created it, it lifts every stop of a token that it could have
//!    created. Such tokens automate what administrators do.
//! 5. It obtains no secret of a token that created it, directly or through others, or that obtained
//!    a secret of it: it neither rotates nor reveals such a token, stopped or not.
//!
//! Lifting a stop means to enable, extend, unbind, rotate or clone a stopped token. Deleted tokens
//! stay deleted.

use domain::{bounds::FixedBounds, ids::TokenId, token::Token};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    access::{Access, Foreseen},
    kernel::Actor,
    store::stops::{self, Lineage, Stoppers},
};

/// Reads the relation of the calling token to another one before that one is locked. Reading takes
/// longer the more log rows the tokens have, and no other change of a locked token can proceed.
/// [`Lifting::of`] reads the relation again if the log has grown by then.
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
    // Only the first of several tokens is kept; the others are read after they are locked.
    let _ = access.foreseen.set(Foreseen { asks, other, lineage, last_row });
    Ok(())
}

/// The rights of the calling token to undo stops and bounds of another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifting {
    asks: TokenId,
    lineage: Lineage,
    stoppers: Stoppers,
}

impl Lifting {
    /// Returns what the caller may undo of a token; `None` for callers that are not tokens.
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

    /// Refuses to lift the stops of a token that is disabled or has `ended`.
    pub(super) fn check_stops(&self, token: &Token, ended: bool) -> Result<(), ServiceError> {
        self.check_widening()?;
        let others = !token.enabled && !self.has_set(self.stoppers.disabled_by)
            || ended && token.ended_by.is_some() && !self.has_set(self.stoppers.ended_by);
        if others {
            return Err(ServiceError::Forbidden(
                "The calling token was created by another token, so it can undo only what it did itself. A person, or a token that a person created, can undo this.",
            ));
        }
        Ok(())
    }

    /// Refuses the secret of a token that created the calling token or obtained a secret of it.
    pub(super) fn check_secret(&self) -> Result<(), ServiceError> {
        if self.lineage.knows_secret {
            return Err(ServiceError::Forbidden(
                "This token created the calling token or obtained its secret, so the calling token can't rotate or reveal it. A person, or a token that a person created, can.",
            ));
        }
        Ok(())
    }

    /// Refuses to widen a token in any way.
    pub(super) fn check_widening(&self) -> Result<(), ServiceError> {
        if self.lineage.knows_secret {
            return Err(ServiceError::Forbidden(
                "This token created the calling token or obtained its secret, so the calling token can't undo what was done to it.",
            ));
        }
        if self.lineage.maker_is_stopped {
            return Err(ServiceError::Forbidden(
                "A token that created the calling token was disabled, expired or deleted. Until that is undone, the calling token can't widen any token. A person, or a token that a person created, can.",
            ));
        }
        Ok(())
    }

    /// Refuses a calling token that would change the user that it acts as.
    pub(super) fn check_user(&self, before: &Token, after: &Token) -> Result<(), ServiceError> {
        if before.id == self.asks && before.user.id != after.user.id {
            return Err(ServiceError::Forbidden("A token can't change its own owner."));
        }
        Ok(())
    }

    /// Returns whether the calling token must stay within bounds that an administrator fixed. It
    /// need not if it fixed them itself.
    pub(super) fn is_bound_by(&self, fixed: &FixedBounds) -> bool {
        !self.has_set(fixed.by_token)
    }

    /// Returns whether a token's end must not become later.
    pub(super) fn keeps_end(&self, token: &Token) -> bool {
        self.check_widening().is_err()
            || token.ended_by.is_some() && !self.has_set(self.stoppers.ended_by)
    }

    /// Returns whether the calling token may undo what `token` did. `None` stands for any
    /// other author.
    fn has_set(&self, token: Option<TokenId>) -> bool {
        !self.lineage.made_by_token || token == Some(self.asks)
    }
}
