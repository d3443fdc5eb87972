//! Set a password with a one-time link.

use std::sync::Arc;

use domain::{audit_action::AuditAction, token::UserSummary};
use serde_json::json;

use super::{Passwords, unchanged};
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::Change,
    password::{PasswordCheck, Tenant},
    refusals::{Refusal, RefusalKind},
    secret::{Password, PasswordLinkSecret},
    sessions::Throttle,
    shares::Holder,
    store::{
        passwords::{self as store, Descent},
        person_stops, sessions, users,
    },
    transaction::callers::hold,
};

/// The name of a link in the log of refusals.
const SUBJECT: &str = "password link";

impl Passwords<'_> {
    /// Returns the person whose password this link sets. Only invalid links are counted, so a
    /// valid link is never refused because of other callers at the same address. Guessing 256 bits
    /// is infeasible.
    ///
    /// # Errors
    /// `NotFound` if the link is wrong, expired, used or replaced, if its person is disabled, or
    /// if the administrator who created it may no longer do so; `TooManyAttempts` after too many
    /// such links.
    #[tracing::instrument(skip_all, fields(
        noun = "passwords", verb = "check_link",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn check_link(
        &self,
        ctx: &OpContext,
        secret: &PasswordLinkSecret,
    ) -> Result<UserSummary, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        if let Some(user) = store::of_link(&mut transaction, &secret.digest(), ctx.now).await? {
            return Ok(user);
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

    /// Sets the password of the person of this link. The link is used up, and every session of the
    /// person ends. The caller is not signed in.
    ///
    /// The person's present password is refused, because an administrator may have chosen it. So
    /// each new password is a guess at it: a wrong guess sets the password and uses up the link,
    /// even if the caller disconnects, and a right one is counted and recorded.
    ///
    /// # Errors
    /// As [`Passwords::check_link`]; `Invalid` with the field `new_password`; `TooManyAttempts`
    /// after the person's present password was given too often.
    #[tracing::instrument(skip_all, fields(
        noun = "passwords", verb = "redeem",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn redeem(
        &self,
        ctx: &OpContext,
        secret: &PasswordLinkSecret,
        new: &Password,
    ) -> Result<UserSummary, ServiceError> {
        let user = self.check_link(ctx, secret).await?;
        let judged = Throttle::of_judged_by_link(self.inner, user.id);
        self.judge(ctx, (&user, &judged), new).await?;
        let (inner, ctx) = (Arc::clone(self.inner), ctx.clone());
        let (secret, new) = (secret.clone(), new.clone());
        Holder::to_the_end(async move {
            Passwords { inner: &inner }.replace(&ctx, &secret, (&user, &new)).await?;
            Ok(user)
        })
        .await
    }

    async fn replace(
        &self,
        ctx: &OpContext,
        secret: &PasswordLinkSecret,
        (user, new): (&UserSummary, &Password),
    ) -> Result<(), ServiceError> {
        let (tenant, entropy) = (Tenant::person(user.id), self.inner.entropy.as_ref());
        // Hash before the comparison: a failure under too much load afterwards would show that the
        // guess is wrong, and keep the link.
        let hash = self.inner.passwords.hash(tenant, new, entropy).await?;
        let throttle = Throttle::of_passwords_by_link(self.inner, user.id);
        let stored = self.count_replacement(ctx, user, &throttle).await?;
        if let Some(stored) = stored {
            let check = self.inner.passwords.check(tenant, new, Some(stored), entropy).await;
            if matches!(check, Err(ServiceError::Busy)) {
                self.inner.take_back(ctx, &throttle).await?;
            }
            if check? != PasswordCheck::Wrong {
                self.record_guess(ctx, user).await?;
                return Err(unchanged());
            }
        }
        // The link is sufficient, whoever is signed in: that may be the person themselves, whose
        // session ends.
        let mut transaction = self.inner.begin().await?;
        transaction.ends_acts_of(&[user.id.0]);
        users::lock(&mut transaction, user.id).await?;
        // Another person may still be using the account, such as an administrator who was
        // just stopped.
        if person_stops::concerns(&mut transaction, user.id).await? {
            return Err(ServiceError::Busy);
        }
        // Check again under the lock: the link may have been used, or its creator stopped, while
        // the password was hashed.
        let link = store::take_link(&mut transaction, user.id, &secret.digest(), ctx.now).await?;
        let maker = link.ok_or_else(gone)?;
        store::set(&mut transaction, user.id, &hash, Descent::Link(maker)).await?;
        let ended = sessions::end_others(&mut transaction, user.id, None).await?;
        throttle.unchecked(&mut transaction, ctx.now).await?;
        let change = Change {
            workspace: None,
            action: AuditAction::UserPasswordReset,
            subject_id: Some(user.id.0),
            subject_name: &user.email,
            before: None,
            after: Some(json!({"ended_sessions": ended})),
        };
        record(&mut transaction, ctx, change).await?;
        // A change that stops the link's creator waits for this lock: it either commits first or
        // sees the new password.
        hold(&mut transaction, maker, false).await?;
        if !store::may_set(&mut transaction, maker, user.id).await? {
            return Err(gone());
        }
        transaction.commit().await
    }

    /// Counts a comparison with the person's present password, and returns its hash.
    async fn count_replacement(
        &self,
        ctx: &OpContext,
        user: &UserSummary,
        throttle: &Throttle,
    ) -> Result<Option<String>, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        if let Err(error) = throttle.take(&mut transaction, ctx.now).await {
            if matches!(error, ServiceError::TooManyAttempts(_)) {
                let refusal = Refusal {
                    kind: RefusalKind::SignInThrottled,
                    subject: user.email.clone(),
                    subject_id: Some(user.id.0),
                    detail: json!({"password_link": true}),
                };
                self.inner.refusals.note(ctx, refusal);
            }
            return Err(error);
        }
        let found = users::by_id(&mut transaction, user.id).await?;
        transaction.commit().await?;
        Ok(found.and_then(|user| user.password_hash))
    }

    /// Records that the caller with the link gave the person's present password. The response
    /// follows afterwards.
    async fn record_guess(&self, ctx: &OpContext, user: &UserSummary) -> Result<(), ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let change = Change {
            workspace: None,
            action: AuditAction::UserPasswordResetRefused,
            subject_id: Some(user.id.0),
            subject_name: &user.email,
            before: None,
            after: Some(json!({"reason": "the new password is the current one"})),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await
    }
}

fn gone() -> ServiceError {
    ServiceError::NotFound("link")
}
