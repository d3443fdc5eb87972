//! The members of a workspace: list, add, change, remove.

mod add;
mod change;
mod list;

pub use add::{Added, NewMember};
pub use change::{ChangedMember, GrantsChange, MemberChange};
pub use list::AmbiguousGrant;
