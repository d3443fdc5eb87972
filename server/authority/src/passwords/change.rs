//! Change the caller's own password, with the current one.

use domain::audit_action::AuditAction;
use std::sync::Arc;

use serde_json::json;
use time::OffsetDateTime;

use super::{Passwords, person, unchanged};
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::Change,
    password::{PasswordCheck, Tenant, is_same},
    refusals::{Refusal, RefusalKind},
    secret::{KnownBrowser, Password, SessionSecret},
    sessions::{Account, Throttle, proven},
    shares::Holder,
    store::{
        passwords::{self as store, Descent},
        sessions, users,
    },
};

/// A request to change one's own password.
#[derive(Debug)]
pub struct PasswordChange {
    /// The current password.
    pub current: Password,
    /// The new password.
    pub new: Password,
    /// The browser's proof that it signed in before.
    pub known_browser: Option<KnownBrowser>,
}

/// The result of a password change.
#[derive(Debug)]
pub struct ChangedPassword {
    /// The new secret of the calling session, for its cookie, and the end of the session. The
    /// old secret is no longer accepted. `None` if the caller has no session, or if it has
    /// ended meanwhile.
    pub session: Option<(SessionSecret, OffsetDateTime)>,
    /// The browser's new proof that it signed in.
    pub known_browser: KnownBrowser,
    /// How many other sessions were ended.
    pub ended: u64,
}

impl Passwords<'_> {
    /// Changes the password of the calling person. All their other sessions end; the calling
    /// session continues with another secret.
    ///
    /// A wrong current password counts as a failed sign-in.
    ///
    /// # Errors
    /// `Invalid` with the fields `current_password`, `new_password`; `TooManyAttempts` after too
    /// many wrong passwords; `PreconditionFailed` if the password was changed meanwhile.
    #[tracing::instrument(skip_all, fields(
        noun = "passwords", verb = "change",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn change(
        &self,
        ctx: &OpContext,
        change: PasswordChange,
    ) -> Result<ChangedPassword, ServiceError> {
        person(ctx)?;
        let (inner, ctx) = (Arc::clone(self.inner), ctx.clone());
        // Run to the end, so that a right current password changes the password even if the caller
        // disconnects as soon as a quick refusal fails to arrive.
        Holder::to_the_end(async move { Passwords { inner: &inner }.attempt(&ctx, change).await })
            .await
    }

    async fn attempt(
        &self,
        ctx: &OpContext,
        change: PasswordChange,
    ) -> Result<ChangedPassword, ServiceError> {
        let id = person(ctx)?.user.id;
        let user = {
            let mut connection = self.inner.connection().await?;
            users::by_id(&mut connection, id).await?
        };
        let user = user.filter(|user| user.enabled && user.password_counts);
        let user = user.ok_or(ServiceError::Unauthenticated)?;
        // This has a counter of its own and uses up no attempt at the current password.
        let judged = Throttle::of_judged(self.inner, Tenant::person(id));
        self.judge(ctx, (&user.summary, &judged), &change.new).await?;
        // If the current password is right, this also compares the new one with the stored one.
        if is_same(&change.new, &change.current) {
            return Err(unchanged());
        }
        let known = change.known_browser.as_ref();
        let recognised = self.inner.recognise(known, &proven(Some(&user), None), ctx.now);
        let browser = recognised.as_ref().map(|recognised| recognised.id);
        let refused = |kind| {
            let refusal = Refusal {
                kind,
                subject: user.summary.email.clone(),
                subject_id: Some(id.0),
                detail: json!({"known_browser": browser.is_some(), "password_change": true}),
            };
            self.inner.refusals.note(ctx, refusal);
        };
        let entropy = self.inner.entropy.as_ref();
        // Hash before the check: a failure under too much load afterwards would show that the
        // current password is right.
        let hash = self.inner.passwords.hash(Tenant::person(id), &change.new, entropy).await?;
        let mut transaction = self.inner.begin().await?;
        let throttle = Throttle::of_account(
            &mut transaction,
            self.inner,
            ctx,
            &user.summary.email,
            Some(id),
            browser,
        )
        .await?;
        let stored = user.password_hash.clone();
        let checked =
            self.inner.attempt(ctx, (transaction, &throttle), (&change.current, stored)).await;
        let check = checked.inspect_err(|error| {
            if matches!(error, ServiceError::TooManyAttempts(_)) {
                refused(RefusalKind::SignInThrottled);
            }
        })?;
        if check == PasswordCheck::Wrong {
            refused(RefusalKind::SignIn);
            return Err(ServiceError::invalid("current_password", "is wrong"));
        }
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[id.0]).await?;
        let ctx = &ctx;
        // The checked password must still be the stored one.
        if !users::lock_checked(&mut transaction, &user).await? {
            return Err(ServiceError::PreconditionFailed);
        }
        transaction.changes_person(id).await?;
        store::set(&mut transaction, id, &hash, Descent::Same).await?;
        store::delete_link(&mut transaction, id).await?;
        let session = match ctx.session {
            Some(session) => {
                let secret = SessionSecret::generate(entropy);
                let digest = secret.digest();
                self.inner.met_sessions.note(digest, id);
                sessions::replace_secret(&mut transaction, session, id, &digest)
                    .await?
                    .map(|end| (secret, end))
            }
            None => None,
        };
        let ended = sessions::end_others(&mut transaction, id, ctx.session).await?;
        throttle.succeeded(&mut transaction, ctx.now).await?;
        let audited = Change {
            workspace: None,
            action: AuditAction::UserPasswordChange,
            subject_id: Some(id.0),
            subject_name: &user.summary.email,
            before: None,
            after: Some(json!({"ended_sessions": ended})),
        };
        record(&mut transaction, ctx, audited).await?;
        transaction.commit().await?;
        let account =
            Account { user: id, password_hash: &hash, generation: user.browser_generation + 1 };
        let known_browser = self.inner.know(known, recognised.as_ref(), &account, ctx.now);
        Ok(ChangedPassword { session, known_browser, ended })
    }
}
