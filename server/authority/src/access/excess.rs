//! Compares what a caller gives with what the caller holds.

use domain::{
    access::{Permission, Permissions},
    grants::{GrantPattern, Grants},
    roles::{InstanceRole, WorkspaceRole},
};

/// The parts of a membership that exceed what a caller holds.
pub(crate) struct Excess {
    pub(crate) role: bool,
    pub(crate) grants: bool,
}

/// Compares a membership with the permissions and grants of the caller who gives it.
pub(crate) fn excess(
    mut held: Permissions,
    held_grants: &Grants,
    role: WorkspaceRole,
    grants: Option<&[GrantPattern]>,
) -> Excess {
    // Assume that members manage their own tokens, because policy may allow that later.
    let given = Permissions::of_user(InstanceRole::Member, Some(role), true);
    if held.allows(Permission::TokensWrite) {
        held = held.or(Permissions::of(&[Permission::OwnTokens]));
    }
    let given_grants = Grants::of(InstanceRole::Member, Some(role), grants);
    Excess { role: !given.is_within(held), grants: !given_grants.is_within(held_grants) }
}
