//! Delete ("revoke") a token, for good.

use domain::{access::Permission, ids::TokenId, token::Token};

use super::{
    Tokens,
    change::{locked_to_stop, snapshot},
    children::{self, How},
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    audit::{Change, record},
    context::Actor,
    replicas::Transaction,
    store::{secrets_change, tokens_change},
    verification::Subject,
};

impl Tokens<'_> {
    /// Makes a token a tombstone: it keeps its id, name and digest, is seen nowhere, and can never be
    /// used or made again. Returns it as it was.
    ///
    /// # Errors
    /// `NotFound`, also when it was deleted before; `PreconditionFailed` when the token is not in the
    /// version `expected`.
    pub async fn delete(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        self.delete_with_children(ctx, id, expected, false).await
    }

    /// The same; with `children` also for the tokens that it made, and those that they made, as far as the
    /// caller reaches them. Policy may want so in any case.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_with_children(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
        children: bool,
    ) -> Result<Token, ServiceError> {
        let outcome = self.delete_now(ctx, id, expected, children).await;
        if matches!(outcome, Err(ServiceError::NotFound(_))) {
            // Whoever deleted it may still be waiting for other servers to hear of it.
            self.inner.already_so(&[Subject::Token(id)]).await?;
        }
        outcome
    }

    /// The same, but that what is gone already is told without waiting.
    pub(super) async fn delete_now(
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
        let token = bury(&mut transaction, ctx, &access, (id, expected), children).await?;
        transaction.commit().await?;
        Ok(token)
    }

    /// The same for the token that asks: every token may end itself, also by its older secret, and also when it cannot be
    /// used.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_self(
        &self,
        ctx: &OpContext,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let (access, facts) = access::authorise_self(&mut transaction, ctx).await?;
        let token = bury(&mut transaction, ctx, &access, (facts.token_id, expected), false).await?;
        transaction.commit().await?;
        Ok(token)
    }
}

impl Tokens<'_> {
    /// Deletes the token that asks and the tokens that it made, as [`Self::delete_with_children`]. Unlike deleting
    /// itself only, this needs the right to manage tokens.
    ///
    /// # Errors
    /// As [`Self::delete`]; `Unauthenticated` for people.
    pub async fn delete_self_with_children(
        &self,
        ctx: &OpContext,
        expected: Option<i64>,
    ) -> Result<Token, ServiceError> {
        let Actor::Token(own) = &ctx.actor else { return Err(ServiceError::Unauthenticated) };
        self.delete_with_children(ctx, own.token_id, expected, true).await
    }
}

/// Makes a token a tombstone, and those that it made where the caller or policy wants so.
pub(super) async fn bury(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    (id, expected): (TokenId, Option<i64>),
    children: bool,
) -> Result<Token, ServiceError> {
    let token = bury_one(transaction, ctx, access, id, expected).await?;
    children::follow(transaction, ctx, access, id, (How::Delete, children)).await?;
    Ok(token)
}

/// Makes a token a tombstone.
async fn bury_one(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    id: TokenId,
    expected: Option<i64>,
) -> Result<Token, ServiceError> {
    let token = locked_to_stop(transaction, ctx, access, id, expected).await?;
    if !tokens_change::delete(transaction, access.tenant(), id, ctx.now).await? {
        return Err(ServiceError::NotFound("token"));
    }
    secrets_change::forget_sealed(transaction, id).await?;
    transaction.narrows(Subject::Token(id));
    let change = Change {
        workspace: Some(access.workspace.id),
        action: "token.delete",
        subject_id: Some(id.0),
        subject_name: &token.name,
        before: Some(snapshot(&token)),
        after: None,
    };
    record(transaction, ctx, change).await?;
    Ok(token)
}
