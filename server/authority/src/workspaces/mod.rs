//! Workspaces and their members.

mod add_member;
mod change_member;
mod create;
mod home;
mod list;
pub(crate) mod members;
mod rename;
mod show;

pub use add_member::{Added, NewMember};
pub use change_member::{ChangedMember, GrantsChange, MemberChange};
pub use create::NewWorkspace;
pub use members::AmbiguousGrant;

use crate::state::Inner;

/// The operations on workspaces and their members.
#[derive(Clone, Copy)]
pub struct Workspaces<'a> {
    pub(crate) inner: &'a Inner,
}
