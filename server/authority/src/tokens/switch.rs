//! The switches of a token: enable, disable, expire, end the grace, delete.
//!
//! All of them take the same steps: lock the token in the expected version, change it unless it is
//! already in the wanted state, note the effect for the replicas, write the audit row, and stop the
//! descendants that follow the token. The file of each switch has its own part, the change.

use domain::{
    access::Permission,
    audit_action::{AuditAction, Effect},
    ids::TokenId,
    token::Token,
};

use super::{
    Tokens,
    change::{changed, deleted, locked_for_more, locked_to_stop},
    children::{self, How},
    delete, disable, enable, end_grace, expire,
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    fallen_invitations::close_fallen_of_token,
    kernel::Subject,
    transaction::Transaction,
};

/// A switch of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Enable,
    Disable,
    Expire,
    EndGrace,
    Delete,
}

impl Tokens<'_> {
    /// Switches a token, identified by its id and the expected version, in a transaction of its
    /// own. With `children`, also switches the descendants that the caller reaches.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed` if the token is not in the expected version; the errors of
    /// the switch.
    pub(super) async fn switch(
        &self,
        ctx: &OpContext,
        (id, expected): (TokenId, Option<i64>),
        switch: Switch,
        children: bool,
    ) -> Result<Token, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, id).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let target = (id, expected);
        let token = switch.apply(&mut transaction, ctx, &access, target, children).await?;
        transaction.commit().await?;
        Ok(token)
    }
}

impl Switch {
    /// Switches a token for a caller who is already authorised, and also its descendants if the
    /// caller or policy asks for that. Returns the token in its new state, or a deleted token as it
    /// was.
    pub(super) async fn apply(
        self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        access: &Access,
        (id, expected): (TokenId, Option<i64>),
        children: bool,
    ) -> Result<Token, ServiceError> {
        let token = self.apply_to_one(transaction, ctx, access, (id, expected)).await?;
        if let Some(how) = self.of_descendants() {
            children::follow(transaction, ctx, access, id, (how, children)).await?;
        }
        Ok(token)
    }

    async fn apply_to_one(
        self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        access: &Access,
        (id, expected): (TokenId, Option<i64>),
    ) -> Result<Token, ServiceError> {
        let before = match self.action().effect() {
            Effect::Widens => locked_for_more(transaction, ctx, access, id, expected).await?,
            Effect::Narrows | Effect::Neutral => {
                locked_to_stop(transaction, ctx, access, id, expected).await?
            }
        };
        let is_changed = match self {
            Self::Enable => enable::write(transaction, ctx, access, &before).await?,
            Self::Disable => disable::write(transaction, ctx, access, &before).await?,
            Self::Expire => expire::write(transaction, ctx, access, &before).await?,
            Self::EndGrace => end_grace::write(transaction, ctx, access, &before).await?,
            Self::Delete => delete::write(transaction, ctx, access, &before).await?,
        };
        if !is_changed {
            transaction.already_so(Subject::Token(id));
            return Ok(before);
        }
        if self == Self::Delete {
            deleted(transaction, ctx, access, &before).await?;
            return Ok(before);
        }
        let token = changed(transaction, ctx, access, self.action(), &before).await?;
        if matches!(self, Self::Disable | Self::Expire) {
            close_fallen_of_token(transaction, ctx, access.tenant(), &token).await?;
        }
        Ok(token)
    }

    const fn action(self) -> AuditAction {
        match self {
            Self::Enable => AuditAction::TokenEnable,
            Self::Disable => AuditAction::TokenDisable,
            Self::Expire => AuditAction::TokenExpire,
            Self::EndGrace => AuditAction::TokenGraceEnd,
            Self::Delete => AuditAction::TokenDelete,
        }
    }

    /// Returns how descendants follow; `None` if this switch leaves them as they are.
    const fn of_descendants(self) -> Option<How> {
        match self {
            Self::Disable => Some(How::Disable),
            Self::Expire => Some(How::Expire),
            Self::Delete => Some(How::Delete),
            Self::Enable | Self::EndGrace => None,
        }
    }
}
