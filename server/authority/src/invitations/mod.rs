//! Invitations to workspaces: an administrator of a workspace invites a person, who accepts or declines.
//!
//! Invariants:
//! - Only the addressee accepts or declines, signed in; a token never does.
//! - Until the person accepts, a workspace sees the same whether or not a user of the instance has the
//!   address. Declining is recorded in the instance's log only.
//! - A change that takes from its sender what an open invitation needs closes it for good (`fallen`).
//! - Accepting checks the inviter again: they must still be allowed to give the role and the grants. A token
//!   that invited must still be accepted, with the same secret and user, and hold enough scopes.
//! - One that a token sent names the token and the person who made it, besides the person whom the token acts for.
//! - An invitation never changes. Inviting an address again closes the old one and makes a new one, so
//!   that a person accepts what they saw.

mod accept;
mod decline;
mod fallen;
mod invite;
mod list;
mod revoke;

pub(crate) use fallen::{close_fallen, close_fallen_of_token};
pub(crate) use invite::invite;

use time::Duration;

use crate::authority::Inner;

/// How long an invitation is open.
pub(crate) const LIFETIME: Duration = Duration::days(7);
/// Most open invitations of one workspace.
pub const OPEN_INVITATIONS_MAX: i64 = 100;
/// Most invitations of one person within an hour, in all workspaces, and of all tokens of a workspace together. What a token
/// sends does not count for the person whom it acts for, because others may have made it.
pub const INVITATIONS_PER_HOUR: i64 = 50;

/// Invitations to workspaces.
#[derive(Clone, Copy)]
pub struct Invitations<'a> {
    pub(crate) inner: &'a Inner,
}
