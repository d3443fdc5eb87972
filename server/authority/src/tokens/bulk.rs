//! Change many tokens of a workspace, each for itself.

use domain::{access::Permission, ids::TokenId, names::Slug};

use super::{Tokens, delete::bury, enable::switch, expire::end};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    replicas::Transaction,
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
        let mut connection = self.inner.connection().await?;
        access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensWrite).await?;
        drop(connection);
        check(ids)?;
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let outcome = self.one(ctx, workspace, action, *id).await;
            if let Err(error) = &outcome {
                error.log(&ctx.request_id);
            }
            outcomes.push(BulkOutcome { id: *id, outcome });
        }
        Ok(outcomes)
    }

    async fn one(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        action: BulkAction,
        id: TokenId,
    ) -> Result<(), ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let access =
            access::authorise_tokens(&mut transaction, ctx, workspace, Permission::TokensWrite)
                .await?;
        action.apply(&mut transaction, ctx, &access, id).await?;
        transaction.commit().await?;
        Ok(())
    }
}

impl BulkAction {
    async fn apply(
        self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        access: &Access,
        id: TokenId,
    ) -> Result<(), ServiceError> {
        match self {
            Self::Enable => switch(transaction, ctx, access, (id, None), true).await,
            Self::Disable => switch(transaction, ctx, access, (id, None), false).await,
            Self::Expire => end(transaction, ctx, access, id, None).await,
            Self::Delete => bury(transaction, ctx, access, (id, None), false).await,
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
