//! Disable a token.

use domain::{ids::TokenId, token::Token};

use super::{
    Tokens,
    containment::{disabler, stopped_by},
    switch::Switch,
};
use crate::{
    OpContext, ServiceError,
    access::Access,
    store::{stops, tokens_change},
    transaction::Transaction,
};

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
        self.switch(ctx, (id, expected), Switch::Disable, children).await
    }
}

/// Disables a locked token. Returns `false` if it is disabled already, by an actor whose stop
/// stays.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    before: &Token,
) -> Result<bool, ServiceError> {
    let (tenant, id) = (access.tenant(), before.id);
    let by = stopped_by(transaction, ctx, access, (id, before.user.id)).await?;
    let stoppers = stops::stoppers(transaction, tenant, id).await?;
    let Some(off) = disabler(by, before, stoppers) else { return Ok(false) };
    tokens_change::set_enabled(transaction, tenant, id, Some(off), ctx.now).await?;
    Ok(true)
}
