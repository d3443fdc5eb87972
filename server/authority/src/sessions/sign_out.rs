//! Sign out.

use super::Sessions;
use crate::{
    OpContext, ServiceError,
    audit::{Change, record},
    callers::hold_alone,
    secret::SessionSecret,
    store::sessions as store,
};

impl Sessions<'_> {
    /// Ends a session. Succeeds also for a session that does not exist any more.
    pub async fn sign_out(
        &self,
        ctx: &OpContext,
        secret: &SessionSecret,
    ) -> Result<(), ServiceError> {
        let mut transaction = self.inner.begin().await?;
        // The session may be over already: its person is not looked at again.
        if let Some(user) = ctx.user_id() {
            hold_alone(&mut transaction, &[user.0]).await?;
        }
        if let Some(user) = store::delete(&mut transaction, &secret.digest()).await? {
            let change = Change {
                workspace: None,
                action: "session.sign_out",
                subject_id: Some(user.0),
                subject_name: "session",
                before: None,
                after: None,
            };
            record(&mut transaction, ctx, change).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
