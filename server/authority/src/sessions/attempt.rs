//! One attempt at a password: at sign-in, or to change the password.

use super::throttle::Throttle;
use crate::{
    OpContext, ServiceError, authority::Inner, password::PasswordCheck, replicas::Transaction,
    secret::Password,
};

impl Inner {
    /// Counts an attempt, then checks the password. The count is committed before the hashing: guesses that
    /// arrive at the same time count as well, and no connection waits for a core. An attempt that was refused as
    /// `Busy` is taken back.
    ///
    /// # Errors
    /// `TooManyAttempts`, with nothing checked; `Busy`.
    pub(crate) async fn attempt(
        &self,
        ctx: &OpContext,
        (mut transaction, throttle): (Transaction<'_>, &Throttle),
        (password, stored): (&Password, Option<String>),
    ) -> Result<PasswordCheck, ServiceError> {
        if let Err(error) = throttle.take(&mut transaction, ctx.now).await {
            if matches!(error, ServiceError::TooManyAttempts(_)) {
                self.counters.sign_in_throttled();
            }
            return Err(error);
        }
        transaction.commit().await?;
        match self.passwords.check(password, stored, self.entropy.as_ref()).await {
            Ok(check) => {
                self.counters.password_checked();
                Ok(check)
            }
            Err(error) => {
                if matches!(error, ServiceError::Busy) {
                    let mut transaction = self.begin().await?;
                    throttle.unchecked(&mut transaction, ctx.now).await?;
                    transaction.commit().await?;
                }
                Err(error)
            }
        }
    }
}
