//! Workspaces and their members.

mod change;
mod create;
mod home;
mod list;
mod members;
mod show;

pub use create::NewWorkspace;
pub use members::{Added, AmbiguousGrant, ChangedMember, GrantsChange, MemberChange, NewMember};

use crate::state::Inner;

/// The operations on workspaces and their members.
#[derive(Clone, Copy)]
pub struct Workspaces<'a> {
    pub(crate) inner: &'a Inner,
}
