//! Who is signed in.

use serde::{Deserialize, Serialize};

use crate::{roles::InstanceRole, token::UserSummary};

/// A person with a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// The person.
    pub user: UserSummary,
    /// What they are on the instance.
    pub instance_role: InstanceRole,
}

impl Visitor {
    /// Whether they manage the whole instance.
    pub const fn is_instance_admin(&self) -> bool {
        matches!(self.instance_role, InstanceRole::Owner | InstanceRole::Admin)
    }
}
