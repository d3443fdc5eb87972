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
pub(crate) use change_member::disable_before_joining;
pub use change_member::{ChangedMember, GrantsChange, MemberChange};
pub use create::NewWorkspace;
pub use members::AmbiguousGrant;

use domain::policy::Policy;

use crate::{authority::Inner, store::policies};

/// The operations on workspaces and their members.
#[derive(Clone, Copy)]
pub struct Workspaces<'a> {
    pub(crate) inner: &'a Inner,
}

/// Returns the policy in force in a workspace.
pub(crate) fn effective_policy(levels: &policies::Levels) -> Policy {
    Policy::in_force(&levels.instance, &levels.workspace)
}
