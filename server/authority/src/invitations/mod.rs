//! Invitations to workspaces: an administrator of a workspace invites a person, who accepts
//! or declines.
//!
//! Invariants:
//! - Only the addressee can accept or decline, signed in; a token cannot.
//! - Until the person accepts, a workspace sees the same whether or not a user of the instance has
//!   the address. Declining is recorded only in the instance's log.
//! - If a change takes away rights of the sender that an open invitation needs, it closes the
//!   invitation permanently (`fallen_invitations.rs`).
//! - Accepting checks the inviter again: they must still be allowed to give the role and the
//!   grants. An inviting token must still be accepted, with the same secret and owner, and hold
//!   sufficient scopes.
//! - An invitation that a token sent names the token and the person who created it, in addition to
//!   the token's owner.
//! - An invitation never changes. Inviting an address again closes the old invitation and creates a
//!   new one, so that a person accepts what they saw.

mod accept;
mod decline;
mod invite;
mod list;
mod revoke;

pub(crate) use invite::invite;

use time::Duration;

use crate::state::Inner;

/// How long an invitation stays open.
pub(crate) const LIFETIME: Duration = Duration::days(7);
/// The maximum number of open invitations of one workspace.
pub const OPEN_INVITATIONS_MAX: i64 = 100;

/// The operations on invitations.
#[derive(Clone, Copy)]
pub struct Invitations<'a> {
    pub(crate) inner: &'a Inner,
}
