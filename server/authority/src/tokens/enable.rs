//! Switch a token on.

use super::{
    Tokens,
    change::{changed, locked},
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    replicas::Transaction,
    store::tokens_change,
    verification::Subject,
};
use domain::{access::Permission, ids::TokenId, token::Token};

impl Tokens<'_> {
    /// Switches a token on. One that is on stays as it is: nothing is changed nor written.
    ///
    /// # Errors
    /// `PreconditionFailed` when the token is not in the version `expected`.
    pub async fn enable(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let token = switch(&mut transaction, ctx, &access, (id, expected), true).await?;
        transaction.commit().await?;
        Ok(token)
    }
}

/// Sets the switch, either way.
pub(super) async fn switch(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    (id, expected): (TokenId, Option<i64>),
    enabled: bool,
) -> Result<Token, ServiceError> {
    let before = locked(transaction, ctx, access, id, expected).await?;
    if before.enabled == enabled {
        transaction.already_so(Subject::Token(id));
        return Ok(before);
    }
    tokens_change::set_enabled(transaction, access.tenant(), id, enabled, ctx.now).await?;
    let action = if enabled { "token.enable" } else { "token.disable" };
    changed(transaction, ctx, access, action, &before).await
}
