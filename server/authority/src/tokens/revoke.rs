//! Revoke the token that somebody presents (RFC 7009).

use std::sync::Arc;

use super::Tokens;
use crate::{
    Actor, OpContext, ServiceError, Verification,
    verification::{Presenter, Subject},
};

impl Tokens<'_> {
    /// Deletes the token that this text is. Whoever holds it may: nobody in particular, and the token
    /// itself, also by another of its secrets. Any other caller needs what [`Self::delete`] needs.
    ///
    /// What has ended stays as it is, and so does a token whose older secret is presented after that
    /// one's end. Otherwise its state does not matter: `Ok` means that the text is of no use from now on,
    /// so that one which is switched off, has not begun or is bound to other addresses is deleted, too.
    /// `Ok` also for a text that is no token and for a token that the caller may not see.
    ///
    /// # Errors
    /// `Forbidden` or `InsufficientScope` for a token that the caller may see but not delete;
    /// `TooManyUnknown`.
    pub async fn revoke(&self, ctx: &OpContext, presented: &str) -> Result<(), ServiceError> {
        // Not from memory: that a text is unknown may be remembered, and "revoked" must be true.
        let from = Presenter::at(ctx.client_ip);
        let verification = Verification { inner: self.inner };
        let Some(facts) = verification.in_database(presented, from).await? else {
            return Ok(());
        };
        let id = facts.token_id;
        if facts.has_ended(ctx.now) {
            // Perhaps a moment ago, by somebody who is not answered yet.
            return self.inner.already_so(&[Subject::Token(id)]).await;
        }
        let holder = match &ctx.actor {
            Actor::Anonymous => true,
            Actor::Token(own) => own.token_id == id,
            Actor::User(_) | Actor::Restricted(_) | Actor::Operator => false,
        };
        let outcome = if holder {
            let ctx = OpContext { actor: Actor::Token(Arc::clone(&facts)), ..ctx.clone() };
            self.delete_self(&ctx, None).await
        } else {
            self.delete_now(ctx, id, None, false).await
        };
        match outcome {
            // Deleted a moment ago, or not for this caller to see.
            Ok(_) => Ok(()),
            Err(ServiceError::NotFound(_)) => self.inner.already_so(&[Subject::Token(id)]).await,
            Err(error) => Err(error),
        }
    }
}
