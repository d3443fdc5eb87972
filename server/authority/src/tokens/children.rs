//! The tokens that a token made. Stopping a token stops them, too, if the caller or policy asks for it. Where
//! policy asks for it, they end no later than their parent when that gets an earlier end. Other changes of a
//! token leave them as they are.

use domain::ids::TokenId;
use time::OffsetDateTime;

use crate::{
    OpContext, ServiceError,
    access::Access,
    replicas::Transaction,
    store::{policies, tokens_change},
};

/// How a token is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Disable,
    Expire,
    /// It ends then, unless it ends before.
    EndBy(OffsetDateTime),
    Delete,
}

/// The tokens that are stopped together with one, each after the one that made it, and the access for
/// that: policy reaches tokens of all users, a caller only those that they reach anyway.
pub(crate) struct Children {
    access: Access,
    ids: Vec<TokenId>,
}

impl Children {
    /// Finds and locks them after their parent. To be called before the first audit row is written,
    /// which locks the chain of the workspace.
    pub(crate) async fn of(
        transaction: &mut Transaction<'_>,
        access: &Access,
        parent: TokenId,
        wanted: bool,
    ) -> Result<Self, ServiceError> {
        let forced = policies::ends_children(transaction, access.tenant()).await?;
        let mut children = Self { access: access.clone(), ids: Vec::new() };
        if forced {
            children.access.own = None;
        }
        if forced || wanted {
            tokens_change::lock(transaction, access.tenant(), parent).await?;
            let ids = tokens_change::descendants(transaction, access.tenant(), parent).await?;
            for id in &ids {
                tokens_change::lock(transaction, access.tenant(), *id).await?;
            }
            children.ids = ids;
        }
        Ok(children)
    }

    /// Stops them.
    pub(super) async fn stop(
        &self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        how: How,
    ) -> Result<(), ServiceError> {
        for id in &self.ids {
            let outcome = match how {
                How::Disable => {
                    super::enable::switch_one(transaction, ctx, &self.access, (*id, None), false)
                        .await
                }
                How::Expire => {
                    super::expire::end_one(transaction, ctx, &self.access, *id, None).await
                }
                How::EndBy(end) => {
                    super::expire::end_one_by(transaction, ctx, &self.access, *id, end).await
                }
                How::Delete => {
                    super::delete::bury_one(transaction, ctx, &self.access, *id, None).await
                }
            };
            match outcome {
                // Deleted meanwhile, or somebody else's.
                Ok(_) | Err(ServiceError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Disables them: for a rule of policy that disabled their parent.
    pub(crate) async fn disable(
        &self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
    ) -> Result<(), ServiceError> {
        self.stop(transaction, ctx, How::Disable).await
    }
}
