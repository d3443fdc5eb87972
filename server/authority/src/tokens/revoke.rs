//! Revoke the token that a caller presents (RFC 7009).

use std::sync::Arc;

use super::Tokens;
use crate::{Actor, OpContext, ServiceError, facts::Presenter, kernel::Subject};

impl Tokens<'_> {
    /// Deletes the token that has this secret. Knowing the secret is sufficient for anonymous
    /// callers and for the token itself, also if it authenticates with another of its secrets.
    /// Other callers need the same rights as for [`Self::delete`].
    ///
    /// An expired token stays as it is, and so does a token whose older secret is presented after
    /// the end of that secret. Otherwise the token's state doesn't matter: `Ok` means that the
    /// secret is useless from now on, so a token that is disabled, not yet valid or bound to other
    /// addresses is deleted, too. Also returns `Ok` for a text that isn't a secret, and for a token
    /// that the caller may not see.
    ///
    /// # Errors
    /// `Forbidden` or `InsufficientScope` for a token that the caller may see but not
    /// delete; `TooManyUnknown`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "revoke",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn revoke(&self, ctx: &OpContext, presented: &str) -> Result<(), ServiceError> {
        // Don't use the cache: it may still say that the secret is unknown, and "revoked" must
        // be true.
        let from = Presenter::at(ctx.client_ip);
        let Some(facts) = self.inner.in_database(presented, from).await? else {
            return Ok(());
        };
        let id = facts.token_id;
        if facts.has_ended(ctx.now) {
            // Another request may have ended it a moment ago and still be waiting for the replicas.
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
            // It was deleted a moment ago, or the caller may not see it.
            Ok(_) => Ok(()),
            Err(ServiceError::NotFound(_)) => self.inner.already_so(&[Subject::Token(id)]).await,
            Err(error) => Err(error),
        }
    }
}
