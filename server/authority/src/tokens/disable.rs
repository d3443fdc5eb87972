//! Switch a token off.

use domain::{access::Permission, ids::TokenId, token::Token};

use super::{Tokens, enable::switch_off};
use crate::{OpContext, ServiceError, access};

impl Tokens<'_> {
    /// Switches a token off: it is refused everywhere until it is switched on again. One that is off
    /// stays as it is: nothing is changed nor written.
    ///
    /// # Errors
    /// `PreconditionFailed` when the token is not in the version `expected`.
    pub async fn disable(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        self.disable_with_children(ctx, id, expected, false).await
    }

    /// The same; with `children` also for the tokens that it made, and those that they made, as far as the
    /// caller reaches them. Policy may want so in any case.
    ///
    /// # Errors
    /// As [`Self::disable`].
    pub async fn disable_with_children(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
        children: bool,
    ) -> Result<Token, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, id).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let token = switch_off(&mut transaction, ctx, &access, (id, expected), children).await?;
        transaction.commit().await?;
        Ok(token)
    }
}
