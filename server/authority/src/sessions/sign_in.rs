//! Sign in with e-mail address and password.

use domain::{names::Email, session::Visitor};

use super::{Sessions, SignIn, SignedIn, throttle::Throttle};
use crate::{
    OpContext, ServiceError,
    audit::{Change, record},
    context::Actor,
    password::PasswordCheck,
    store::users,
};

impl Sessions<'_> {
    /// Signs in. An unknown address, a disabled user and a wrong password answer alike, after the
    /// same work.
    ///
    /// # Errors
    /// `InvalidCredentials`; `TooManyAttempts` after too many failures of the account or the
    /// address.
    pub async fn sign_in(
        &self,
        ctx: &OpContext,
        sign_in: SignIn,
    ) -> Result<SignedIn, ServiceError> {
        let throttle = Throttle::new(self.inner, ctx, &sign_in.email);
        let user = {
            // Given back before the hashing: a connection must not wait for a core.
            let mut connection = self.inner.connection().await?;
            throttle.check(&mut connection, ctx).await?;
            match sign_in.email.parse::<Email>() {
                Ok(email) => users::by_email(&mut connection, &email).await?,
                Err(_) => None,
            }
        };
        let user = user.filter(|user| user.enabled);
        let stored = user.as_ref().and_then(|user| user.password_hash.clone());
        let check = self
            .inner
            .passwords
            .check(&sign_in.password, stored, self.inner.entropy.as_ref())
            .await?;
        let mut transaction = self.inner.begin().await?;
        let (Some(user), PasswordCheck::Right | PasswordCheck::RightButOld(_)) = (user, &check)
        else {
            throttle.failed(&mut transaction, ctx).await?;
            transaction.commit().await?;
            return Err(ServiceError::InvalidCredentials);
        };
        if let PasswordCheck::RightButOld(stronger) = &check {
            users::replace_password_hash(&mut transaction, user.summary.id, stronger).await?;
        }
        throttle.succeeded(&mut transaction).await?;
        let visitor = Visitor { user: user.summary, instance_role: user.instance_role };
        let ctx = OpContext { actor: Actor::User(visitor.clone()), ..ctx.clone() };
        let change = Change {
            workspace: None,
            action: "session.sign_in",
            subject_id: Some(visitor.user.id.0),
            subject_name: &visitor.user.email,
            before: None,
            after: None,
        };
        record(&mut transaction, &ctx, change).await?;
        let signed_in = self
            .inner
            .open_session(&mut transaction, &ctx, visitor.clone(), sign_in.user_agent.as_deref())
            .await?;
        transaction.commit().await?;
        Ok(signed_in)
    }
}
