//! Tokens that act as an owner or administrator of the instance, and whose secret others may know who could not get it
//! now. `store/secret_holders.rs` finds them.

use domain::{access::Permission, ids::UserId};

use super::{Tokens, enable::switch_off};
use crate::{
    OpContext, ServiceError,
    access::authorise_token,
    audit::hold_end,
    replicas::Transaction,
    store::{
        secret_holders::{self as store, ExposedToken},
        tokens_change, wait_briefly,
    },
};

/// Most tokens that are listed.
const LISTED_MAX: i64 = 100;

impl Tokens<'_> {
    /// Returns tokens that act as an owner or administrator of the instance, and whose secret others may know who do not
    /// manage the instance: at most 100. Rotating or deleting such a token settles it.
    ///
    /// # Errors
    /// `Forbidden` for callers who do not manage the instance.
    pub async fn exposed(&self, ctx: &OpContext) -> Result<Vec<ExposedToken>, ServiceError> {
        ctx.manages_instance()?;
        let mut connection = self.inner.connection().await?;
        Ok(store::exposed(&mut connection, None, ctx.now, LISTED_MAX).await?)
    }
}

/// Disables those that act as a person who has just become an administrator or an owner. Returns how many.
pub(crate) async fn disable_exposed(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    user: UserId,
) -> Result<i64, ServiceError> {
    let exposed = store::exposed(transaction, Some(user), ctx.now, i64::MAX).await?;
    let mut disabled = 0;
    for token in exposed.into_iter().filter(|token| token.enabled) {
        let access =
            authorise_token(transaction, ctx, token.token, Permission::TokensWrite).await?;
        switch_off(transaction, ctx, &access, (token.token, None), false).await?;
        disabled += 1;
    }
    Ok(disabled)
}

/// Locks the tokens that act as a user: none of them changes hands until the transaction ends. They are in several
/// workspaces, so that it waits for each lock for a moment only. The ends of the workspaces' chains come with them: they
/// are not waited for when the user's row is locked, which others need.
pub(crate) async fn lock_acting(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    user: UserId,
) -> Result<(), ServiceError> {
    wait_briefly(transaction).await?;
    let workspaces = tokens_change::lock_of_user(transaction, user).await?;
    for workspace in workspaces {
        hold_end(transaction, ctx, workspace).await?;
    }
    Ok(())
}
