//! Expire a token now.

use domain::{ids::TokenId, token::Token};

use super::{
    Tokens,
    containment::{ender, stopped_again, stopped_by},
    switch::Switch,
};
use crate::{
    OpContext, ServiceError,
    access::Access,
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
        self.switch(ctx, (id, expected), Switch::Expire, false).await
    }
}

/// Expires a locked token. Returns `false` if it is expired already, by an actor whose stop stays.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    before: &Token,
) -> Result<bool, ServiceError> {
    let (tenant, id) = (access.tenant(), before.id);
    let by = stopped_by(transaction, ctx, access, (id, before.user.id)).await?;
    let stoppers = stops::stoppers(transaction, tenant, id).await?;
    if before.expires_at.is_some_and(|end| end <= ctx.now) {
        let was = (before.ended_by.as_ref(), stoppers.ended_by);
        let Some(by) = stopped_again(by, was, before.user.id) else { return Ok(false) };
        tokens_change::set_ended_by(transaction, tenant, id, by, ctx.now).await?;
    } else {
        let by = ender(by, before, stoppers);
        tokens_change::expire(transaction, tenant, id, by, ctx.now).await?;
        secrets_change::end_older(transaction, id, ctx.now).await?;
    }
    Ok(true)
}
