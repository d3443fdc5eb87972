//! Give a user a higher role: nobody else gets it with them.
//!
//! An administrator may have given the person their password, a workspace's administrator may know the secret of a token
//! that acts as them. Neither may come to more rights that way, so that a higher role ends what others may hold:
//!
//! - every session of the person, and the browsers that they signed in with;
//! - the password, when the administrator from whom it descends may not set the password of somebody with the new role;
//! - tokens that act as the person, when they become an administrator or an owner and others may know the secret who
//!   could not get it now. They are disabled, not deleted: a rotation makes them safe.

use domain::{ids::UserId, roles::InstanceRole};

use crate::{
    OpContext, ServiceError,
    replicas::Transaction,
    store::{passwords, sessions},
    tokens,
};

/// What a higher role ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Raise {
    pub(super) ended_sessions: u64,
    pub(super) password_ended: bool,
    pub(super) disabled_tokens: i64,
}

/// Ends it, within the transaction that has set the new role.
pub(super) async fn apply(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    (user, role): (UserId, InstanceRole),
) -> Result<Raise, ServiceError> {
    // First: the password decides whose doing the account's acts were.
    let password_ended = passwords::end_of_raised(transaction, user).await?;
    let disabled_tokens =
        if role.manages() { tokens::disable_exposed(transaction, ctx, user).await? } else { 0 };
    let ended_sessions = sessions::end_others(transaction, user, None).await?;
    Ok(Raise { ended_sessions, password_ended, disabled_tokens })
}
