//! Show the caller's own account.

use domain::{roles::InstanceRole, token::UserSummary};

use super::{Passwords, person};
use crate::{OpContext, ServiceError, store::users};

/// A person's own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The id, address and name.
    pub user: UserSummary,
    /// The role on the instance.
    pub instance_role: InstanceRole,
    /// Whether the person must change the password before anything else, because someone else
    /// chose it.
    pub must_change_password: bool,
    /// Whether the password breaks the rule for new ones, according to the last sign-in.
    pub password_is_weak: bool,
}

impl Passwords<'_> {
    /// Returns the account of the calling person.
    ///
    /// # Errors
    /// `Forbidden` for tokens and the command line, which have no account.
    #[tracing::instrument(skip_all, fields(
        noun = "passwords", verb = "account",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn account(&self, ctx: &OpContext) -> Result<Account, ServiceError> {
        let visitor = person(ctx)?;
        let mut connection = self.inner.connection().await?;
        let user = users::by_id(&mut connection, visitor.user.id).await?;
        let user = user.ok_or(ServiceError::Unauthenticated)?;
        Ok(Account {
            user: user.summary,
            instance_role: user.instance_role,
            must_change_password: user.must_change_password,
            password_is_weak: user.password_is_weak,
        })
    }
}
