//! Set a password by a one-time link.

use domain::token::UserSummary;
use serde_json::json;

use super::{Passwords, unchanged};
use crate::{
    OpContext, ServiceError,
    audit::{Change, Refusal, RefusalKind, record},
    password::{PasswordCheck, Tenant},
    secret::{Password, PasswordLinkSecret},
    sessions::Throttle,
    store::{
        passwords::{self as store, Descent},
        sessions, users,
    },
};

/// The name of a link in the log of refusals.
const SUBJECT: &str = "a link that sets a password";

impl Passwords<'_> {
    /// Returns the person whose password this link sets. Only links that do not work are counted: whatever others
    /// at the same address try, one that works is never refused. Nobody guesses 256 bits.
    ///
    /// # Errors
    /// `NotFound` when the link is wrong, expired, used or replaced, when its person is disabled, or when the
    /// administrator who made it may not make it any more; `TooManyAttempts` after too many such links.
    pub async fn check_link(
        &self,
        ctx: &OpContext,
        secret: &PasswordLinkSecret,
    ) -> Result<UserSummary, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        if let Some(link) = store::of_link(&mut transaction, &secret.digest(), ctx.now).await? {
            return Ok(link.user);
        }
        let refused = |kind| {
            let refusal =
                Refusal { kind, subject: SUBJECT.into(), subject_id: None, detail: json!({}) };
            self.inner.refusals.note(ctx, refusal);
        };
        let throttle = Throttle::of_links(self.inner, ctx);
        if let Err(error) = throttle.take(&mut transaction, ctx.now).await {
            if matches!(error, ServiceError::TooManyAttempts(_)) {
                refused(RefusalKind::SignInThrottled);
            }
            return Err(error);
        }
        transaction.commit().await?;
        refused(RefusalKind::Credential);
        Err(gone())
    }

    /// Refuses the password that the person has: an administrator may have chosen it.
    async fn check_new(&self, user: &UserSummary, new: &Password) -> Result<(), ServiceError> {
        let stored = {
            let mut connection = self.inner.connection().await?;
            users::by_id(&mut connection, user.id).await?.and_then(|user| user.password_hash)
        };
        let Some(stored) = stored else { return Ok(()) };
        let (tenant, entropy) = (Tenant::person(user.id), self.inner.entropy.as_ref());
        let check = self.inner.passwords.check(tenant, new, Some(stored), entropy).await?;
        if check == PasswordCheck::Wrong { Ok(()) } else { Err(unchanged()) }
    }

    /// Sets the password of the person whose link this is. The link is used up, and every session of the
    /// person ends. Signs nobody in.
    ///
    /// # Errors
    /// As [`Passwords::check_link`]; `Invalid` with the field `new_password`.
    pub async fn redeem(
        &self,
        ctx: &OpContext,
        secret: &PasswordLinkSecret,
        new: &Password,
    ) -> Result<UserSummary, ServiceError> {
        let user = self.check_link(ctx, secret).await?;
        self.judge(ctx, &user, new).await?;
        self.check_new(&user, new).await?;
        let (tenant, entropy) = (Tenant::person(user.id), self.inner.entropy.as_ref());
        let hash = self.inner.passwords.hash(tenant, new, entropy).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[user.id.0]).await?;
        let ctx = &ctx;
        users::lock(&mut transaction, user.id).await?;
        // Again, now that it counts: the link may have been used while the password was hashed.
        let link = store::of_link(&mut transaction, &secret.digest(), ctx.now).await?;
        let link = link.ok_or_else(gone)?;
        store::delete_link(&mut transaction, user.id).await?;
        store::set(&mut transaction, user.id, &hash, Descent::Link(link.issued_by)).await?;
        let ended = sessions::end_others(&mut transaction, user.id, None).await?;
        let change = Change {
            workspace: None,
            action: "user.password_reset",
            subject_id: Some(user.id.0),
            subject_name: &user.email,
            before: None,
            after: Some(json!({"ended_sessions": ended})),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(user)
    }
}

fn gone() -> ServiceError {
    ServiceError::NotFound("link")
}
