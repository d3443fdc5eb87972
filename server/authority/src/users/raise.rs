//! Gives a user a higher role, without giving it to other people as well.
//!
//! An administrator may have given the person their password, and a workspace's administrator may
//! know the secret of a token that acts as them. Neither must gain rights that way, so a higher
//! role withdraws what other people may hold:
//!
//! - all sessions of the person, and the browsers that they signed in with;
//! - the password, if the administrator from whom it descends may not set the password of a person
//!   with the new role;
//! - tokens that act as the person, if they become an administrator or an owner and the secret may
//!   be known to people who could not get it now. Such tokens are disabled, not deleted: a rotation
//!   makes them safe.

use domain::{ids::UserId, roles::InstanceRole};

use crate::{
    OpContext, ServiceError,
    state::Inner,
    store::{passwords, secret_holders::Sought, sessions},
    tokens::{Acting, By},
    transaction::Transaction,
};

/// The effects of a higher role.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Raise {
    pub(super) ended_sessions: u64,
    /// The administrator who gave the password, if it was expired.
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

/// Returns the search for tokens that must not gain from a new administrator or owner.
fn sought(user: UserId) -> Sought<'static> {
    Sought { user: Some(user), for_managers: true, ..Sought::default() }
}

/// Withdraws what other people may hold, in the transaction that set the new role. `acting` are the
/// user's tokens, if the role manages the instance.
pub(super) async fn apply(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    user: UserId,
    acting: Option<&Acting>,
) -> Result<Raise, ServiceError> {
    // This comes first, because the password decides whether the account's actions are attributed
    // to the person.
    let giver = passwords::end_of_raised(transaction, user).await?;
    let disabled_tokens = match acting {
        Some(acting) => acting.disable_exposed(transaction, ctx, &sought(user)).await?,
        None => 0,
    };
    let ended_sessions = sessions::end_others(transaction, user, None).await?;
    Ok(Raise { ended_sessions, giver, disabled_tokens })
}
