//! One attempt at a password, at sign-in or to change the password.

use domain::{ids::UserId, rate_limit::RateLimit};
use serde_json::json;

use crate::{
    OpContext, ServiceError,
    kernel::network,
    password::{PasswordCheck, Tenant},
    refusals::{Refusal, RefusalKind},
    secret::Password,
    sessions::throttle::Throttle,
    state::Inner,
    transaction::Transaction,
};

impl Inner {
    /// Counts an attempt, then checks the password. The count is committed before the hashing, so
    /// that simultaneous guesses count as well, and no connection is held while waiting for a core.
    /// An attempt that is refused as `Busy` doesn't count.
    ///
    /// # Errors
    /// `TooManyAttempts`, in which case nothing was checked; `Busy`.
    pub(crate) async fn attempt(
        &self,
        ctx: &OpContext,
        (transaction, throttle): (Transaction<'_>, &Throttle),
        checked: (&Password, Option<String>),
    ) -> Result<PasswordCheck, ServiceError> {
        self.count_attempt(ctx, (transaction, throttle)).await?;
        self.check_counted(ctx, throttle, checked).await
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// `TooManyAttempts`.
    pub(super) async fn count_attempt(
        &self,
        ctx: &OpContext,
        (mut transaction, throttle): (Transaction<'_>, &Throttle),
    ) -> Result<(), ServiceError> {
        if let Err(error) = throttle.take(&mut transaction, ctx.now).await {
            if matches!(error, ServiceError::TooManyAttempts(_)) {
                self.counters.sign_in_throttled();
            }
            return Err(error);
        }
        transaction.commit().await
    }

    /// Checks the password of a counted attempt.
    ///
    /// # Errors
    /// `Busy`.
    pub(super) async fn check_counted(
        &self,
        ctx: &OpContext,
        throttle: &Throttle,
        (password, stored): (&Password, Option<String>),
    ) -> Result<PasswordCheck, ServiceError> {
        let tenant = Tenant::of(ctx);
        match self.passwords.check(tenant, password, stored, self.entropy.as_ref()).await {
            Ok(check) => {
                self.counters.password_checked();
                Ok(check)
            }
            Err(error) => {
                if matches!(error, ServiceError::Busy) {
                    self.take_back(ctx, throttle).await?;
                }
                Err(error)
            }
        }
    }

    /// Counts a successful sign-in of a person from the caller's address, in memory. Other callers
    /// cannot use up this limit. An attempt beyond the limit is uncounted, because its password
    /// was right.
    ///
    /// # Errors
    /// `TooManyAttempts`.
    pub(crate) async fn count_right(
        &self,
        ctx: &OpContext,
        user: UserId,
        throttle: &Throttle,
    ) -> Result<(), ServiceError> {
        let number = self.settings.right_sign_ins.into();
        let limit = RateLimit::new(number, number).map_err(ServiceError::internal)?;
        let key = (user, network(ctx.client_ip));
        let state = self.right_sign_ins.take(key, limit, ctx.now);
        if state.allowed {
            return Ok(());
        }
        self.counters.sign_in_throttled();
        self.take_back(ctx, throttle).await?;
        Err(ServiceError::TooManyAttempts(state.retry_after_s.into()))
    }

    /// Uncounts an attempt.
    pub(crate) async fn take_back(
        &self,
        ctx: &OpContext,
        throttle: &Throttle,
    ) -> Result<(), ServiceError> {
        let mut transaction = self.begin().await?;
        throttle.unchecked(&mut transaction, ctx.now).await?;
        transaction.commit().await
    }

    /// Counts a new password that is about to be judged. The count stays whatever the result is,
    /// because the work is the same.
    ///
    /// # Errors
    /// `TooManyAttempts`.
    pub(crate) async fn count_judged(
        &self,
        ctx: &OpContext,
        throttle: &Throttle,
        subject: &str,
    ) -> Result<(), ServiceError> {
        let mut transaction = self.begin().await?;
        if let Err(error) = throttle.take(&mut transaction, ctx.now).await {
            if matches!(error, ServiceError::TooManyAttempts(_)) {
                let detail = json!({"new_password": true});
                let (kind, subject) = (RefusalKind::SignInThrottled, subject.to_owned());
                self.refusals.note(ctx, Refusal { kind, subject, subject_id: None, detail });
            }
            return Err(error);
        }
        transaction.commit().await
    }
}
