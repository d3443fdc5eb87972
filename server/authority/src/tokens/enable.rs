//! Enable a token.

use super::{
    Tokens,
    change::{changed, locked_for_more, locked_to_stop},
    children::{self, How},
    containment::{disabler, may_lift, stopped_by},
    renewal::could_outlast_caller,
    widening::Grantor,
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    fallen_invitations::close_fallen_of_token,
    kernel::Subject,
    store::{stops, tokens_change},
    transaction::Transaction,
};
use domain::{access::Permission, ids::TokenId, token::Token};

impl Tokens<'_> {
    /// Enables a token. An enabled token stays as it is, and nothing is written.
    ///
    /// # Errors
    /// `Forbidden` if the token may do more than the caller, or if an administrator stopped it and
    /// the caller is not an administrator; `BoundExceeded` if the calling token has tighter bounds;
    /// `PreconditionFailed` if the token is not in the version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "enable",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn enable(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let token = switch(&mut transaction, ctx, &access, (id, expected), true).await?;
        transaction.commit().await?;
        Ok(token)
    }
}

/// Enables or disables a token. If policy asks for it, disabling also disables the
/// token's descendants.
pub(super) async fn switch(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    target: (TokenId, Option<i64>),
    enabled: bool,
) -> Result<Token, ServiceError> {
    if enabled {
        switch_one(transaction, ctx, access, target, true).await
    } else {
        switch_off(transaction, ctx, access, target, false).await
    }
}

/// Disables a token, and also its descendants if the caller or policy asks for that.
pub(super) async fn switch_off(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    target: (TokenId, Option<i64>),
    children: bool,
) -> Result<Token, ServiceError> {
    let token = switch_one(transaction, ctx, access, target, false).await?;
    children::follow(transaction, ctx, access, token.id, (How::Disable, children)).await?;
    Ok(token)
}

/// Enables or disables one token.
async fn switch_one(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    (id, expected): (TokenId, Option<i64>),
    enabled: bool,
) -> Result<Token, ServiceError> {
    let before = if enabled {
        locked_for_more(transaction, ctx, access, id, expected).await?
    } else {
        locked_to_stop(transaction, ctx, access, id, expected).await?
    };
    let off = if enabled {
        None
    } else {
        let by = stopped_by(transaction, ctx, access, (id, before.user.id)).await?;
        let stoppers = stops::stoppers(transaction, access.tenant(), id).await?;
        disabler(by, &before, stoppers)
    };
    if before.enabled == enabled && off.is_none() {
        transaction.already_so(Subject::Token(id));
        return Ok(before);
    }
    if enabled {
        may_lift(transaction, ctx, access, &before).await?;
        let after = Token { enabled, ..before.clone() };
        let grantor = Grantor::of(transaction, ctx, access).await?;
        grantor.check(transaction, &after).await??;
        if could_outlast_caller(transaction, ctx, access, &before).await? {
            tokens_change::renew_no_more(transaction, access.tenant(), id).await?;
        }
    }
    tokens_change::set_enabled(transaction, access.tenant(), id, off, ctx.now).await?;
    let action = if enabled { "token.enable" } else { "token.disable" };
    let token = changed(transaction, ctx, access, action, &before).await?;
    if !enabled {
        close_fallen_of_token(transaction, ctx, access.tenant(), &token).await?;
    }
    Ok(token)
}
