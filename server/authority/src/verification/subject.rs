//! What a change is about, for those who keep facts.

use domain::{
    decision::Facts,
    ids::{TokenId, UserId, WorkspaceId},
};
use uuid::Uuid;

/// What a revision names: facts about it are looked up anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A token.
    Token(TokenId),
    /// A user: all tokens that act as it.
    User(UserId),
    /// A user's place in a workspace.
    Membership(UserId),
    /// A workspace's rules; `None` is the instance's, and with them every workspace's.
    Workspace(Option<WorkspaceId>),
    /// An audience's scopes, by its id.
    Catalogue(Uuid),
    /// Something that this version does not know.
    Unknown,
}

impl Subject {
    /// As `revisions.kind` has it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::User(_) => "user",
            Self::Membership(_) => "membership",
            Self::Workspace(_) => "workspace",
            Self::Catalogue(_) | Self::Unknown => "catalogue",
        }
    }

    /// As `revisions.subject_id` has it.
    pub(crate) const fn id(&self) -> Uuid {
        match self {
            Self::Token(id) => id.0,
            Self::User(id) | Self::Membership(id) => id.0,
            Self::Workspace(Some(id)) => id.0,
            Self::Catalogue(id) => *id,
            Self::Workspace(None) | Self::Unknown => Uuid::nil(),
        }
    }

    /// What a row of `revisions` names.
    pub(crate) fn of(kind: &str, id: Uuid) -> Self {
        match kind {
            "token" => Self::Token(TokenId(id)),
            "user" => Self::User(UserId(id)),
            "membership" => Self::Membership(UserId(id)),
            "workspace" => Self::Workspace((!id.is_nil()).then_some(WorkspaceId(id))),
            "catalogue" => Self::Catalogue(id),
            // A later version's: whatever it is, nothing that is kept is sure any more.
            _ => Self::Unknown,
        }
    }

    /// Whether these facts may have changed with it.
    pub(crate) fn concerns(&self, facts: &Facts) -> bool {
        match self {
            Self::Token(id) => facts.token_id == *id,
            _ => self.concerns_place(facts.surroundings.workspace_id, facts.surroundings.user.id),
        }
    }

    /// Whether it may have changed what else but a token says of one that acts as this user in this
    /// workspace.
    pub(crate) fn concerns_place(&self, workspace: WorkspaceId, user: UserId) -> bool {
        match self {
            Self::Token(_) => false,
            Self::User(id) | Self::Membership(id) => user == *id,
            Self::Workspace(Some(id)) => workspace == *id,
            // Which audiences a scope counts for is not kept by id.
            Self::Workspace(None) | Self::Catalogue(_) | Self::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
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
