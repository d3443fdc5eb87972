//! Sign out.

use domain::{audit_action::AuditAction, ids::UserId};

use super::Sessions;
use crate::{
    OpContext, ServiceError, audit::record, kernel::Change, secret::SessionSecret,
    store::sessions as store,
};

impl Sessions<'_> {
    /// Ends a session. Succeeds also if the session no longer exists.
    ///
    /// # Errors
    /// `TooManyUnknown` if too many texts from this address were not sessions.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "sign_out",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn sign_out(
        &self,
        ctx: &OpContext,
        secret: &SessionSecret,
    ) -> Result<(), ServiceError> {
        let looking = self.look(ctx, secret)?;
        let ended = self.end_of(ctx, secret).await;
        self.looked(looking, secret.digest(), ended.as_ref().copied());
        if ended?.is_some() {
            self.inner.met_sessions.forget(&secret.digest());
        }
        Ok(())
    }

    /// Ends the session that a browser had before it signed in again. The caller has just signed in
    /// successfully, so this lookup is not limited.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "replace",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn replace(
        &self,
        ctx: &OpContext,
        secret: &SessionSecret,
    ) -> Result<(), ServiceError> {
        self.end_of(ctx, secret).await?;
        self.inner.met_sessions.forget(&secret.digest());
        Ok(())
    }

    /// Ends a session. Returns its user, if the session existed.
    async fn end_of(
        &self,
        ctx: &OpContext,
        secret: &SessionSecret,
    ) -> Result<Option<UserId>, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let ended = store::delete(&mut transaction, &secret.digest()).await?;
        if let Some(user) = ended {
            transaction.ends_acts_of(&[user.0]);
            let change = Change {
                workspace: None,
                action: AuditAction::SessionSignOut,
                subject_id: Some(user.0),
                subject_name: "session",
                before: None,
                after: None,
            };
            record(&mut transaction, ctx, change).await?;
        }
        transaction.commit().await?;
        Ok(ended)
    }
}
