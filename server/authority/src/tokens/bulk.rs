//! Change many tokens of a workspace in one call, each independently of the others.

use domain::{access::Permission, ids::TokenId, names::Slug};

use super::{Tokens, switch::Switch};
use crate::{OpContext, ServiceError, access, store::descendants::DescendantStop};

/// The maximum number of tokens in one call.
pub const BULK_MAX: usize = 100;

/// The action to apply to each token.
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

/// The outcome for one token.
#[derive(Debug)]
pub struct BulkOutcome {
    /// The token.
    pub id: TokenId,
    /// The result of the action. It is `NotFound` for a token of another workspace and, if the
    /// caller reaches only their own tokens, for a token that acts as another user.
    pub outcome: Result<(), ServiceError>,
}

impl Tokens<'_> {
    /// Applies the same action to many tokens of a workspace, in the given order. Each token has
    /// its own transaction, so a failure doesn't affect the others.
    ///
    /// # Errors
    /// `Invalid` with the field `ids`, which must name 1 to [`BULK_MAX`] tokens, each once.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "bulk",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn bulk(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        action: BulkAction,
        ids: &[TokenId],
    ) -> Result<Vec<BulkOutcome>, ServiceError> {
        self.bulk_with_children(ctx, workspace, action, ids, false).await
    }

    /// Applies the action as [`Self::bulk`] does. With `children`, it also applies to the
    /// descendants of each token that the caller reaches. A descendant that is itself named may
    /// already be deleted when its turn comes.
    ///
    /// # Errors
    /// As [`Self::bulk`]; `Invalid` with the field `children` for actions other than disabling
    /// and deleting.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "bulk_with_children",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
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
            let message = "can be true only when tokens are disabled or deleted";
            return Err(ServiceError::invalid("children", message));
        }
        let mut outcomes = Vec::with_capacity(ids.len());
        // Apply the action to all named tokens first, so that none of them waits for another
        // one's descendants.
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
        let switch = Switch::from(action);
        switch.apply(&mut transaction, ctx, &access, (id, None), children).await?;
        transaction.commit_before_descendants().await
    }
}

impl From<BulkAction> for Switch {
    fn from(action: BulkAction) -> Self {
        match action {
            BulkAction::Enable => Self::Enable,
            BulkAction::Disable => Self::Disable,
            BulkAction::Expire => Self::Expire,
            BulkAction::Delete => Self::Delete,
        }
    }
}

fn check(ids: &[TokenId]) -> Result<(), ServiceError> {
    if ids.is_empty() || ids.len() > BULK_MAX {
        return Err(ServiceError::invalid("ids", format!("must name 1 to {BULK_MAX} tokens")));
    }
    let mut seen = std::collections::BTreeSet::new();
    match ids.iter().find(|id| !seen.insert(**id)) {
        Some(id) => Err(ServiceError::invalid("ids", format!("contains {id} twice"))),
        None => Ok(()),
    }
}
