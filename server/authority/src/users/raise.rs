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
    authority::Inner,
    replicas::Transaction,
    store::{passwords, secret_holders::Sought, sessions},
    tokens::{Acting, By},
};

/// What a higher role ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Raise {
    pub(super) ended_sessions: u64,
    /// The administrator who gave the password, if it ended.
    pub(super) giver: Option<UserId>,
    pub(super) disabled_tokens: i64,
}

/// Disables the tokens that a higher role would disable, in portions. Returns how many.
pub(super) async fn prepare(
    inner: &Inner,
    ctx: &OpContext,
    (user, role): (UserId, InstanceRole),
) -> Result<i64, ServiceError> {
    let mut connection = inner.connection().await?;
    let is_doubted = !passwords::may_keep(&mut connection, user, role).await?;
    drop(connection);
    let sought = Sought { is_doubted, ..sought(user) };
    inner.disable_in_portions((&By::of(ctx), ctx), &sought).await
}

/// The tokens that a new administrator or owner must not bring along.
fn sought(user: UserId) -> Sought<'static> {
    Sought { user: Some(user), for_managers: true, ..Sought::default() }
}

/// Ends it, within the transaction that has set the new role. `acting` are the user's tokens, if the role manages the
/// instance.
pub(super) async fn apply(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    user: UserId,
    acting: Option<&Acting>,
) -> Result<Raise, ServiceError> {
    // First: the password decides whose doing the account's acts were.
    let giver = passwords::end_of_raised(transaction, user).await?;
    let disabled_tokens = match acting {
        Some(acting) => acting.disable_exposed(transaction, ctx, &sought(user)).await?,
        None => 0,
    };
    let ended_sessions = sessions::end_others(transaction, user, None).await?;
    Ok(Raise { ended_sessions, giver, disabled_tokens })
}
