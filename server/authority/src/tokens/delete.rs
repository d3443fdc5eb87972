//! Delete a token permanently ("revoke").

use domain::{ids::TokenId, token::Token};

use super::{Tokens, switch::Switch};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    kernel::{Actor, Subject},
    store::{secrets_change, tokens_change},
    transaction::Transaction,
};

impl Tokens<'_> {
    /// Turns a token into a tombstone: it keeps its id, name and digest, is listed nowhere, and can
    /// never be used or created again. Returns the token as it was.
    ///
    /// # Errors
    /// `NotFound`, also if it was deleted before; `PreconditionFailed` if the token is not in the
    /// version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "delete",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn delete(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        self.delete_with_children(ctx, id, expected, false).await
    }

    /// Deletes a token as [`Self::delete`] does. With `children`, also deletes its descendants that
    /// the caller reaches. Policy can require that in any case.
    ///
    /// # Errors
    /// As [`Self::delete`].
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "delete_with_children",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn delete_with_children(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
        children: bool,
    ) -> Result<Token, ServiceError> {
        let outcome = self.delete_now(ctx, id, expected, children).await;
        if matches!(outcome, Err(ServiceError::NotFound(_))) {
            // The request that deleted it may still be waiting for other replicas to apply
            // the deletion.
            self.inner.already_so(&[Subject::Token(id)]).await?;
        }
        outcome
    }

    /// Deletes a token as [`Self::delete_with_children`] does, but returns `NotFound` for a deleted
    /// token without waiting for the replicas.
    pub(super) async fn delete_now(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
        children: bool,
    ) -> Result<Token, ServiceError> {
        self.switch(ctx, (id, expected), Switch::Delete, children).await
    }

    /// Deletes the calling token. Every token may delete itself, also with its older secret and
    /// also while it cannot be used.
    ///
    /// # Errors
    /// As [`Self::delete`].
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "delete_self",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn delete_self(
        &self,
        ctx: &OpContext,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let (access, facts) = access::authorise_self(&mut transaction, ctx).await?;
        let target = (facts.token_id, expected);
        let token = Switch::Delete.apply(&mut transaction, ctx, &access, target, false).await?;
        transaction.commit().await?;
        Ok(token)
    }
}

impl Tokens<'_> {
    /// Deletes the calling token and its descendants, as [`Self::delete_with_children`] does.
    /// Unlike deleting only itself, this needs the permission to manage tokens.
    ///
    /// # Errors
    /// As [`Self::delete`]; `Unauthenticated` for people.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "delete_self_with_children",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn delete_self_with_children(
        &self,
        ctx: &OpContext,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        let Actor::Token(own) = &ctx.actor else { return Err(ServiceError::Unauthenticated) };
        self.delete_with_children(ctx, own.token_id, expected, true).await
    }
}

/// Turns a locked token into a tombstone. Returns `true`: a deleted token cannot be locked again.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    before: &Token,
) -> Result<bool, ServiceError> {
    if !tokens_change::delete(transaction, access.tenant(), before.id, ctx.now).await? {
        return Err(ServiceError::NotFound("token"));
    }
    secrets_change::forget_sealed(transaction, before.id).await?;
    Ok(true)
}
