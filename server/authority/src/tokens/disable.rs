//! Disable a token.

use domain::{access::Permission, ids::TokenId, token::Token};

use super::{Tokens, enable::switch_off};
use crate::{OpContext, ServiceError, access};

impl Tokens<'_> {
    /// Disables a token: it is refused everywhere until it is enabled again. A disabled token stays
    /// as it is, and nothing is written.
    ///
    /// # Errors
    /// `PreconditionFailed` if the token is not in the version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "disable",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn disable(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        self.disable_with_children(ctx, id, expected, false).await
    }

    /// Disables a token as [`Self::disable`] does. With `children`, also disables its descendants
    /// that the caller reaches. Policy can require that in any case.
    ///
    /// # Errors
    /// As [`Self::disable`].
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "disable_with_children",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
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
