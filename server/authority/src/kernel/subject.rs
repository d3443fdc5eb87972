//! The subject of a change, as the caches of facts see it.

use crate::kernel::Facts;
use domain::ids::{TokenId, UserId, WorkspaceId};
use uuid::Uuid;

/// The subject that a revision names: facts about it are looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A token.
    Token(TokenId),
    /// A user, and all tokens that act as it.
    User(UserId),
    /// A user's membership of a workspace.
    Membership(UserId),
    /// A workspace's rules; `None` means the instance's, and thereby every workspace's.
    Workspace(Option<WorkspaceId>),
    /// An audience's scopes, by its id.
    Catalogue(Uuid),
    /// A kind that this version does not support.
    Unknown,
}

impl Subject {
    /// Returns the value of `revisions.kind`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::User(_) => "user",
            Self::Membership(_) => "membership",
            Self::Workspace(_) => "workspace",
            Self::Catalogue(_) | Self::Unknown => "catalogue",
        }
    }

    /// Returns the value of `revisions.subject_id`.
    pub(crate) const fn id(&self) -> Uuid {
        match self {
            Self::Token(id) => id.0,
            Self::User(id) | Self::Membership(id) => id.0,
            Self::Workspace(Some(id)) => id.0,
            Self::Catalogue(id) => *id,
            Self::Workspace(None) | Self::Unknown => Uuid::nil(),
        }
    }

    /// Parses a row of `revisions`.
    pub(crate) fn of(kind: &str, id: Uuid) -> Self {
        match kind {
            "token" => Self::Token(TokenId(id)),
            "user" => Self::User(UserId(id)),
            "membership" => Self::Membership(UserId(id)),
            "workspace" => Self::Workspace((!id.is_nil()).then_some(WorkspaceId(id))),
            "catalogue" => Self::Catalogue(id),
            // The kind comes from a later version. It may concern anything, so nothing in the cache
            // can be relied on.
            _ => Self::Unknown,
        }
    }

    /// Returns whether the change may have altered these facts.
    pub(crate) fn concerns(&self, facts: &Facts) -> bool {
        match self {
            Self::Token(id) => facts.token_id == *id,
            _ => self.concerns_place(facts.surroundings.workspace_id, facts.surroundings.user.id),
        }
    }

    /// Returns whether the change may have altered the data outside the token's own row, for tokens
    /// that act as this user in this workspace.
    pub(crate) fn concerns_place(&self, workspace: WorkspaceId, user: UserId) -> bool {
        match self {
            Self::Token(_) => false,
            Self::User(id) | Self::Membership(id) => user == *id,
            Self::Workspace(Some(id)) => workspace == *id,
            // The cache does not know audiences by id, so a changed catalogue may concern any
            // token.
            Self::Workspace(None) | Self::Catalogue(_) | Self::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_survives_a_round_trip() {
        let id = Uuid::from_u128(7);
        for subject in [
            Subject::Token(TokenId(id)),
            Subject::User(UserId(id)),
            Subject::Membership(UserId(id)),
            Subject::Workspace(Some(WorkspaceId(id))),
            Subject::Workspace(None),
            Subject::Catalogue(id),
        ] {
            assert_eq!(Subject::of(subject.kind(), subject.id()), subject);
        }
        assert_eq!(Subject::of("something new", id), Subject::Unknown);
    }
}
