//! Passwords of people: changing the caller's own, one-time links that set a new one, and the state
//! of the caller's account.
//!
//! - Every new password is judged by the same rule (`password/rule.rs`).
//! - Setting a password ends the sessions of its owner, forgets the browsers that they signed in
//!   with, and invalidates an open link.
//! - A guess at the present password is counted before it is checked, and has a row in the audit
//!   log before the response. The check continues if the caller disconnects, so that every guess
//!   leaves a trace.
//! - A caller with a link uses up none of the person's own limits.
//! - A password that another user chose (`users().create`) must be changed: until then its owner is
//!   an [`Actor::Restricted`](crate::Actor), who can only read this account, change the password
//!   and sign out.
//! - Such a password and a link are valid only as long as the user who gave them may set the
//!   person's password (`may_set_password` in the database). Sign-in and every request of a session
//!   check this again.

mod account;
mod change;
mod redeem;
mod reset;

pub use account::Account;
pub use change::{ChangedPassword, PasswordChange};
pub use reset::PasswordLink;
pub(crate) use reset::issue;

use std::sync::Arc;

use domain::{session::Visitor, token::UserSummary};

use crate::{
    OpContext, ServiceError,
    kernel::Actor,
    password::{Tenant, about},
    secret::Password,
    sessions::Throttle,
    state::Inner,
};

/// The operations on passwords of people.
#[derive(Clone, Copy)]
pub struct Passwords<'a> {
    pub(crate) inner: &'a Arc<Inner>,
}

/// Returns the calling person. Only people have an account of their own.
fn person(ctx: &OpContext) -> Result<&Visitor, ServiceError> {
    match &ctx.actor {
        Actor::User(visitor) | Actor::Restricted(visitor) => Ok(visitor),
        Actor::Anonymous => Err(ServiceError::Unauthenticated),
        Actor::Token(_) | Actor::Operator => {
            Err(ServiceError::Forbidden("Only signed-in people have an account."))
        }
    }
}

/// Returns the error for a new password that equals the present one.
fn unchanged() -> ServiceError {
    ServiceError::invalid("new_password", "must not be your current password")
}

impl Passwords<'_> {
    /// Counts a new password of a person, then judges it by the rule.
    async fn judge(
        &self,
        ctx: &OpContext,
        (user, throttle): (&UserSummary, &Throttle),
        new: &Password,
    ) -> Result<(), ServiceError> {
        let tenant = Tenant::person(user.id);
        self.inner.count_judged(ctx, throttle, &user.email).await?;
        let place = self.inner.names_of_place(Some(user.id)).await?;
        let context = about(&[&user.email, &user.name], &place);
        let judged = self.inner.passwords.judge(tenant, new, &context).await?;
        judged.map_err(|message| ServiceError::invalid("new_password", message))
    }
}
