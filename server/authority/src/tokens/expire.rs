//! Expire a token now.

use domain::{access::Permission, ids::TokenId, token::Token};

use super::{
    Tokens,
    change::{changed, locked_to_stop},
    children::{self, How},
    containment::{ender, stopped_again, stopped_by},
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    fallen_invitations::close_fallen_of_token,
    kernel::Subject,
    store::{secrets_change, stops, tokens_change},
    transaction::Transaction,
};

impl Tokens<'_> {
    /// Expires a token now, together with its older secret. The token stays listed, and works
    /// again once it is rotated or gets a later end. An expired token stays as it is, and nothing
    /// is written.
    ///
    /// # Errors
    /// `PreconditionFailed` if the token is not in the version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "expire",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn expire(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, id).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let token = end(&mut transaction, ctx, &access, id, expected).await?;
        transaction.commit().await?;
        Ok(token)
    }
}

/// Expires a token, and also its descendants if policy asks for that.
pub(super) async fn end(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
    expected: Option<i64>,
) -> Result<Token, ServiceError> {
    let token = end_one(transaction, ctx, access, id, expected).await?;
    children::follow(transaction, ctx, access, id, (How::Expire, false)).await?;
    Ok(token)
}

/// Expires one token.
async fn end_one(
    connection: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
    expected: Option<i64>,
) -> Result<Token, ServiceError> {
    let before = locked_to_stop(connection, ctx, access, id, expected).await?;
    let tenant = access.tenant();
    let by = stopped_by(connection, ctx, access, (id, before.user.id)).await?;
    let stoppers = stops::stoppers(connection, tenant, id).await?;
    if before.expires_at.is_some_and(|end| end <= ctx.now) {
        let was = (before.ended_by.as_ref(), stoppers.ended_by);
        let Some(by) = stopped_again(by, was, before.user.id) else {
            connection.already_so(Subject::Token(id));
            return Ok(before);
        };
        tokens_change::set_ended_by(connection, tenant, id, by, ctx.now).await?;
    } else {
        tokens_change::expire(connection, tenant, id, ender(by, &before, stoppers), ctx.now)
            .await?;
        secrets_change::end_older(connection, id, ctx.now).await?;
    }
    let token = changed(connection, ctx, access, "token.expire", &before).await?;
    close_fallen_of_token(connection, ctx, tenant, &token).await?;
    Ok(token)
}
