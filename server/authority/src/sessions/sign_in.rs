//! Sign in with e-mail address and password.

use std::{net::IpAddr, sync::Arc};

use domain::{audit_action::AuditAction, ids::UserId, names::WrittenEmail, session::Visitor};
use serde_json::json;
use uuid::Uuid;

use super::{
    KNOWN_FOR, Sessions, SignIn, SignedIn,
    known_browser::{Account, Recognised},
    throttle::Throttle,
};
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::{Actor, Change},
    password::{PasswordCheck, Tenant, about},
    refusals::{Refusal, RefusalKind},
    secret::Password,
    shares::Holder,
    store::{
        passwords, throttles,
        users::{self, User},
    },
};

/// The reason in the audit log why a right password was refused.
const NO_MAKER: &str = "the administrator who set this password is no longer allowed to set it";
/// The maximum number of proxies that a warning names.
const PROXIES_MAX: i64 = 3;

/// An attempt to sign in.
struct Attempt {
    sign_in: SignIn,
    /// The enabled user with that address.
    user: Option<User>,
    /// The browser, if it signed in to this account before.
    recognised: Option<Recognised>,
    throttle: Throttle,
}

impl Sessions<'_> {
    /// Signs in. An unknown address, a disabled user and a wrong password give the same response
    /// after the same work.
    ///
    /// # Errors
    /// `InvalidCredentials`; `TooManyAttempts`, with the time to wait, after too many failures or
    /// too many successful sign-ins of the person from one address; `PasswordChangeRequired` if the
    /// password must be changed first and the surface cannot change it.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "sign_in",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn sign_in(
        &self,
        ctx: &OpContext,
        sign_in: SignIn,
    ) -> Result<SignedIn, ServiceError> {
        let user = self.account(&sign_in.email).await?;
        let known = sign_in.known_browser.as_ref();
        // Check the cookie in the same way if the account doesn't exist.
        let recognised = self.inner.recognise(known, &proven(user.as_ref(), None), ctx.now);
        let recognised = recognised.filter(|_| user.is_some());
        let browser = recognised.as_ref().map(|recognised| recognised.id);
        let account = user.as_ref().map(|user| user.summary.id);
        let mut transaction = self.inner.begin().await?;
        let throttle = Throttle::of_account(
            &mut transaction,
            self.inner,
            ctx,
            &sign_in.email,
            account,
            browser,
        )
        .await?;
        let counted = self.inner.count_attempt(ctx, (transaction, &throttle)).await;
        let attempt = Attempt { sign_in, user, recognised, throttle };
        counted.inspect_err(|error| {
            if matches!(error, ServiceError::TooManyAttempts(_)) {
                self.note(ctx, &attempt, RefusalKind::SignInThrottled, None);
            }
        })?;
        let (inner, ctx) = (Arc::clone(self.inner), ctx.clone());
        // Run to the end, so that a right password leaves its audit row even if the caller
        // disconnects as soon as a quick refusal fails to arrive.
        Holder::to_the_end(
            async move { Sessions { inner: &inner }.check_attempt(&ctx, attempt).await },
        )
        .await
    }

    /// Records a refused attempt.
    fn note(self, ctx: &OpContext, attempt: &Attempt, kind: RefusalKind, why: Option<&str>) {
        let mut detail = json!({"known_browser": attempt.recognised.is_some()});
        if let Some(why) = why {
            detail["reason"] = why.into();
        }
        let subject_id = attempt.user.as_ref().map(|user| user.summary.id.0);
        let subject = attempt.sign_in.email.clone();
        self.inner.refusals.note(ctx, Refusal { kind, subject, subject_id, detail });
    }

    /// Checks the password of a counted attempt, and opens the session.
    async fn check_attempt(
        &self,
        ctx: &OpContext,
        attempt: Attempt,
    ) -> Result<SignedIn, ServiceError> {
        let stored = attempt.user.as_ref().and_then(|user| user.password_hash.clone());
        let typed = (&attempt.sign_in.password, stored);
        let check = self.inner.check_counted(ctx, &attempt.throttle, typed).await?;
        let right = matches!(check, PasswordCheck::Right | PasswordCheck::RightButOld(_));
        if !right || attempt.user.is_none() {
            self.note(ctx, &attempt, RefusalKind::SignIn, None);
            return Err(ServiceError::InvalidCredentials);
        }
        if attempt.user.as_ref().is_some_and(|user| !user.password_counts) {
            // Give the response to a wrong password, after the same work.
            self.note(ctx, &attempt, RefusalKind::SignIn, Some(NO_MAKER));
            return Err(ServiceError::InvalidCredentials);
        }
        if let Some(user) = &attempt.user {
            let counted = self.inner.count_right(ctx, user.summary.id, &attempt.throttle).await;
            counted.inspect_err(|error| {
                if matches!(error, ServiceError::TooManyAttempts(_)) {
                    self.note(ctx, &attempt, RefusalKind::SignInThrottled, None);
                }
            })?;
        }
        let Attempt { sign_in, user: Some(user), recognised, throttle } = attempt else {
            return Err(ServiceError::InvalidCredentials);
        };
        let is_weak = self.is_weak(&user, &sign_in.password).await?;
        let mut transaction = self.inner.begin().await?;
        // The password may have been changed, and all sessions ended, while it was checked.
        if !users::lock_checked(&mut transaction, &user).await? {
            return Err(ServiceError::InvalidCredentials);
        }
        let mut stronger = None;
        if let PasswordCheck::RightButOld(hash) = &check {
            users::replace_password_hash(&mut transaction, user.summary.id, hash).await?;
            stronger = Some(hash.as_str());
        }
        if is_weak != user.password_is_weak {
            passwords::mark_weak(&mut transaction, user.summary.id, is_weak).await?;
        }
        throttle.succeeded(&mut transaction, ctx.now).await?;
        if user.must_change_password && !ctx.surface.changes_passwords() {
            transaction.commit().await?;
            return Err(ServiceError::PasswordChangeRequired);
        }
        let proof = self.inner.know(
            sign_in.known_browser.as_ref(),
            recognised.as_ref(),
            &proven(Some(&user), stronger),
            ctx.now,
        );
        let must_change_password = user.must_change_password;
        let visitor = Visitor { user: user.summary, instance_role: user.instance_role };
        let ctx = OpContext { actor: Actor::User(visitor.clone()), ..ctx.clone() };
        let change = Change {
            workspace: None,
            action: AuditAction::SessionSignIn,
            subject_id: Some(visitor.user.id.0),
            subject_name: &visitor.user.email,
            before: None,
            after: None,
        };
        let signed_in = self
            .inner
            .open_session(&mut transaction, &ctx, visitor.clone(), sign_in.user_agent.as_deref())
            .await?;
        record(&mut transaction, &ctx, change).await?;
        transaction.commit().await?;
        Ok(SignedIn {
            must_change_password,
            password_is_weak: is_weak,
            known_browser: Some(proof),
            ..signed_in
        })
    }

    /// Returns whether a right password breaks the rule for new ones. Under too much load, returns
    /// the previous result.
    async fn is_weak(&self, user: &User, password: &Password) -> Result<bool, ServiceError> {
        let place = self.inner.names_of_place(Some(user.summary.id)).await?;
        let context = about(&[&user.summary.email, &user.summary.name], &place);
        let tenant = Tenant::person(user.summary.id);
        match self.inner.passwords.judge(tenant, password, &context).await {
            Ok(judged) => Ok(judged.is_err()),
            Err(ServiceError::Busy) => Ok(user.password_is_weak),
            Err(error) => Err(error),
        }
    }

    /// Returns the enabled user with this address; `None` also for a text that is not an address.
    async fn account(&self, email: &str) -> Result<Option<User>, ServiceError> {
        let Some(email) = WrittenEmail::read(email) else { return Ok(None) };
        let mut connection = self.inner.connection().await?;
        let user = users::by_email(&mut connection, &email).await?;
        Ok(user.filter(|user| user.enabled))
    }

    /// Records that people sign in through this peer, whose `X-Forwarded-For` is not trusted.
    /// Unless the operator adds it to `trusted_proxies`, all people behind it share one limit.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "note_untrusted_proxy",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn note_untrusted_proxy(
        &self,
        ctx: &OpContext,
        peer: IpAddr,
    ) -> Result<(), ServiceError> {
        let mut connection = self.inner.connection().await?;
        throttles::note_proxy(&mut connection, &peer.to_string(), ctx.now).await?;
        Ok(())
    }

    /// Returns the peers that [`Self::note_untrusted_proxy`] recorded in the last 30 days, the
    /// latest first.
    ///
    /// # Errors
    /// `Forbidden` for all callers but the command line and the server itself.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "untrusted_proxies",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn untrusted_proxies(&self, ctx: &OpContext) -> Result<Vec<String>, ServiceError> {
        ctx.is_operator()?;
        let mut connection = self.inner.connection().await?;
        Ok(throttles::proxies(&mut connection, ctx.now - KNOWN_FOR, PROXIES_MAX).await?)
    }
}

/// Returns the account of a browser's proof. For an unknown user, it is one that no proof matches.
pub(crate) fn proven<'a>(user: Option<&'a User>, newer_hash: Option<&'a str>) -> Account<'a> {
    let stored = user.and_then(|user| user.password_hash.as_deref());
    Account {
        user: user.map_or(UserId(Uuid::nil()), |user| user.summary.id),
        password_hash: newer_hash.or(stored).unwrap_or_default(),
        generation: user.map_or(0, |user| user.browser_generation),
    }
}
