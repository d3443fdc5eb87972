//! The right to name a workspace in a query.

use crate::kernel::Facts;
use domain::ids::WorkspaceId;

/// The right to name a workspace in a query. Only authorisation creates it:
/// [`Tenant::authorised`] is called in `access` and nowhere else, which `tools/check-imports.py`
/// checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant(WorkspaceId);

impl Tenant {
    /// Returns the tenant of an authorised caller.
    pub(crate) const fn authorised(workspace: WorkspaceId) -> Self {
        Self(workspace)
    }

    pub(crate) const fn id(self) -> WorkspaceId {
        self.0
    }

    /// Returns the workspace of a token whose stop was authorised earlier, for the consequences of
    /// that stop.
    pub(crate) const fn of_stopped_token(workspace: WorkspaceId) -> Self {
        Self(workspace)
    }

    /// Returns a token's own workspace, for the operations that every token may perform on itself.
    pub(crate) fn of_own_token(facts: &Facts) -> Self {
        Self(facts.surroundings.workspace_id)
    }
}
