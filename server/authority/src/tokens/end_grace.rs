//! End a token's grace: the secret that a rotation replaced stops working.

use domain::{ids::TokenId, token::Token};

use super::{Tokens, switch::Switch};
use crate::{
    OpContext, ServiceError,
    access::Access,
    store::{secrets_change, tokens_change},
    transaction::Transaction,
};

impl Tokens<'_> {
    /// Expires the older secret of a token now. A token without one stays as it is, and nothing
    /// is written.
    ///
    /// # Errors
    /// `PreconditionFailed` if the token is not in the version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "end_grace",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn end_grace(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        self.switch(ctx, (id, expected), Switch::EndGrace, false).await
    }
}

/// Expires the older secret of a locked token. Returns `false` if it has none.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    before: &Token,
) -> Result<bool, ServiceError> {
    if !secrets_change::end_older(transaction, before.id, ctx.now).await? {
        return Ok(false);
    }
    tokens_change::touch(transaction, access.tenant(), before.id, ctx.now).await?;
    Ok(true)
}
