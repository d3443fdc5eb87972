//! End a token's grace: the secret that a rotation replaced stops working.

use domain::{access::Permission, ids::TokenId, token::Token};

use super::{
    Tokens,
    change::{changed, locked_to_stop},
};
use crate::{
    OpContext, ServiceError, access,
    kernel::Subject,
    store::{secrets_change, tokens_change},
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
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, id).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let before = locked_to_stop(&mut transaction, ctx, &access, id, expected).await?;
        if !secrets_change::end_older(&mut transaction, id, ctx.now).await? {
            transaction.already_so(Subject::Token(id));
            transaction.commit().await?;
            return Ok(before);
        }
        tokens_change::touch(&mut transaction, access.tenant(), id, ctx.now).await?;
        let token = changed(&mut transaction, ctx, &access, "token.grace_end", &before).await?;
        transaction.commit().await?;
        Ok(token)
    }
}
