//! Change many tokens of a workspace, each for itself.

use domain::{access::Permission, ids::TokenId, names::Slug};

use super::{
    Tokens,
    delete::bury,
    enable::{switch, switch_off},
    expire::end,
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    replicas::Transaction,
    store::descendants::DescendantStop,
};

/// Most tokens of one call.
pub const BULK_MAX: usize = 100;

/// What shall be done with each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkAction {
    /// [`Tokens::enable`]
    Enable,
    /// [`Tokens::disable`]
    Disable,
    /// [`Tokens::expire`]
    Expire,
    /// [`Tokens::delete`]
    Delete,
}

/// What became of one of them.
#[derive(Debug)]
pub struct BulkOutcome {
    /// The token.
    pub id: TokenId,
    /// Whether it was done; a token of another workspace is not found, nor is one of somebody else's
    /// for who reaches their own alone.
    pub outcome: Result<(), ServiceError>,
}

impl Tokens<'_> {
    /// Does the same with many tokens of a workspace, in the order given, each in a transaction of its
    /// own: one that fails leaves the others done.
    ///
    /// # Errors
    /// `Invalid` with the field `ids`, which must name 1 to [`BULK_MAX`] tokens, each once.
    pub async fn bulk(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        action: BulkAction,
        ids: &[TokenId],
    ) -> Result<Vec<BulkOutcome>, ServiceError> {
        self.bulk_with_children(ctx, workspace, action, ids, false).await
    }

    /// The same; with `children` also for the tokens that each of them made, and those that they made, as far
    /// as the caller reaches them. A child that is named, too, may be gone when its turn comes.
    ///
    /// # Errors
    /// As [`Self::bulk`]; `Invalid` with the field `children` for actions other than disabling and deleting.
    pub async fn bulk_with_children(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        action: BulkAction,
        ids: &[TokenId],
        children: bool,
    ) -> Result<Vec<BulkOutcome>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensWrite).await?;
        drop(connection);
        check(ids)?;
        if children && !matches!(action, BulkAction::Disable | BulkAction::Delete) {
            let message = "can only be true where tokens are disabled or deleted";
            return Err(ServiceError::invalid("children", message));
        }
        let mut outcomes = Vec::with_capacity(ids.len());
        // All that are named first: none of them waits for the descendants of another.
        for id in ids {
            let outcome = self.one(ctx, workspace, (action, children), *id).await;
            outcomes.push((*id, outcome));
        }
        let mut done = Vec::with_capacity(ids.len());
        for (id, outcome) in outcomes {
            let outcome = match outcome {
                Ok(stops) => self.stop_descendants(&stops).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &outcome {
                error.log(&ctx.request_id);
            }
            done.push(BulkOutcome { id, outcome });
        }
        Ok(done)
    }

    async fn stop_descendants(&self, stops: &[DescendantStop]) -> Result<(), ServiceError> {
        for stop in stops {
            self.inner.stop_descendants(stop).await?;
        }
        Ok(())
    }

    async fn one(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        (action, children): (BulkAction, bool),
        id: TokenId,
    ) -> Result<Vec<DescendantStop>, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, id).await?;
        let ctx = &ctx;
        let access =
            access::authorise_tokens(&mut transaction, ctx, workspace, Permission::TokensWrite)
                .await?;
        action.apply(&mut transaction, ctx, &access, (id, children)).await?;
        transaction.commit_before_descendants().await
    }
}

impl BulkAction {
    async fn apply(
        self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        access: &Access,
        (id, children): (TokenId, bool),
    ) -> Result<(), ServiceError> {
        match self {
            Self::Enable => switch(transaction, ctx, access, (id, None), true).await,
            Self::Disable => switch_off(transaction, ctx, access, (id, None), children).await,
            Self::Expire => end(transaction, ctx, access, id, None).await,
            Self::Delete => bury(transaction, ctx, access, (id, None), children).await,
        }
        .map(drop)
    }
}

fn check(ids: &[TokenId]) -> Result<(), ServiceError> {
    if ids.is_empty() || ids.len() > BULK_MAX {
        return Err(ServiceError::invalid("ids", format!("must name 1 to {BULK_MAX} tokens")));
    }
    let mut seen = std::collections::BTreeSet::new();
    match ids.iter().find(|id| !seen.insert(**id)) {
        Some(id) => Err(ServiceError::invalid("ids", format!("has {id} twice"))),
        None => Ok(()),
    }
}
