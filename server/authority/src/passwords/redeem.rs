//! Set a password by a one-time link.

use std::sync::Arc;

use domain::token::UserSummary;
use serde_json::json;

use super::{Passwords, unchanged};
use crate::{
    OpContext, ServiceError,
    audit::{Change, Refusal, RefusalKind, record},
    callers::hold,
    password::{PasswordCheck, Tenant},
    secret::{Password, PasswordLinkSecret},
    sessions::Throttle,
    shares::Holder,
    store::{
        passwords::{self as store, Descent},
        person_stops, sessions, users,
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

    /// Sets the password of the person whose link this is. The link is used up, and every session of the
    /// person ends. Signs nobody in.
    ///
    /// The password that the person has is refused, because an administrator may have chosen it. So each new password is
    /// a guess at it: a wrong one uses up the link, whether the caller waits for that or not, and a right one is counted and
    /// recorded.
    ///
    /// # Errors
    /// As [`Passwords::check_link`]; `Invalid` with the field `new_password`; `TooManyAttempts` after the password that
    /// the person has was given too often.
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
        // Before the comparison: too much load after it would show that the guess is wrong, and keep the link.
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
        // The link is the right to this, whoever is signed in: it may be the person themselves, whose session ends.
        let mut transaction = self.inner.begin().await?;
        transaction.ends_acts_of(&[user.id.0]);
        users::lock(&mut transaction, user.id).await?;
        // Somebody else may still be using the account, as an administrator who was just stopped.
        if person_stops::concerns(&mut transaction, user.id).await? {
            return Err(ServiceError::Busy);
        }
        // Again, now that it counts: the link may have been used, or its maker stopped, while the password was hashed.
        let link = store::take_link(&mut transaction, user.id, &secret.digest(), ctx.now).await?;
        let maker = link.ok_or_else(gone)?;
        store::set(&mut transaction, user.id, &hash, Descent::Link(maker)).await?;
        let ended = sessions::end_others(&mut transaction, user.id, None).await?;
        throttle.unchecked(&mut transaction, ctx.now).await?;
        let change = Change {
            workspace: None,
            action: "user.password_reset",
            subject_id: Some(user.id.0),
            subject_name: &user.email,
            before: None,
            after: Some(json!({"ended_sessions": ended})),
        };
        record(&mut transaction, ctx, change).await?;
        // Whoever stops the maker waits for this: their stop is committed first, or sees the password.
        hold(&mut transaction, maker, false).await?;
        if !store::may_set(&mut transaction, maker, user.id).await? {
            return Err(gone());
        }
        transaction.commit().await
    }

    /// Counts a comparison with the password that a person has, and returns its hash.
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

    /// Records that the holder of a link gave the password that the person has. They are answered afterwards.
    async fn record_guess(&self, ctx: &OpContext, user: &UserSummary) -> Result<(), ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let change = Change {
            workspace: None,
            action: "user.password_reset_refused",
            subject_id: Some(user.id.0),
            subject_name: &user.email,
            before: None,
            after: Some(json!({"reason": "it is the current password"})),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await
    }
}

fn gone() -> ServiceError {
    ServiceError::NotFound("link")
}
