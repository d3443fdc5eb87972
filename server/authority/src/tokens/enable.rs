//! Enable a token.

use domain::{ids::TokenId, token::Token};

use super::{
    Tokens, containment::may_lift, renewal::could_outlast_caller, switch::Switch, widening::Grantor,
};
use crate::{
    OpContext, ServiceError, access::Access, store::tokens_change, transaction::Transaction,
};

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
        self.switch(ctx, (id, expected), Switch::Enable, false).await
    }
}

/// Enables a locked token. Returns `false` if it is enabled already.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    before: &Token,
) -> Result<bool, ServiceError> {
    if before.enabled {
        return Ok(false);
    }
    may_lift(transaction, ctx, access, before).await?;
    let after = Token { enabled: true, ..before.clone() };
    let grantor = Grantor::of(transaction, ctx, access).await?;
    grantor.check(transaction, &after).await??;
    if could_outlast_caller(transaction, ctx, access, before).await? {
        tokens_change::renew_no_more(transaction, access.tenant(), before.id).await?;
    }
    tokens_change::set_enabled(transaction, access.tenant(), before.id, None, ctx.now).await?;
    Ok(true)
}
