//! Who may do what: permissions, and the two tables that give them.

use crate::{
    catalogue::ScopeName,
    roles::{InstanceRole, WorkspaceRole},
};

/// One thing that a caller may be allowed to do in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Permission {
    /// See the workspace: its name and its overview.
    WorkspaceRead = 1,
    /// See its tokens.
    TokensRead = 1 << 1,
    /// Make, change and delete its tokens.
    TokensWrite = 1 << 2,
    /// Ask whether its tokens may do something.
    Verify = 1 << 3,
    /// See who its members are.
    MembersRead = 1 << 4,
    /// Read its audit log.
    AuditRead = 1 << 5,
    /// Make workspaces, change catalogues: manage the instance.
    InstanceWrite = 1 << 6,
    /// Make, see, change and delete tokens of one's own.
    OwnTokens = 1 << 7,
    /// See the secrets of its recoverable tokens.
    TokensReveal = 1 << 8,
    /// Add, change and remove its members.
    MembersWrite = 1 << 9,
    /// Change its policy.
    PolicyWrite = 1 << 10,
    /// Rename it.
    WorkspaceWrite = 1 << 11,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 12] = [
        Self::WorkspaceRead,
        Self::TokensRead,
        Self::TokensWrite,
        Self::Verify,
        Self::MembersRead,
        Self::AuditRead,
        Self::InstanceWrite,
        Self::OwnTokens,
        Self::TokensReveal,
        Self::MembersWrite,
        Self::PolicyWrite,
        Self::WorkspaceWrite,
    ];
}

/// A set of permissions. Empty by default: what nobody gave is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u16);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Everything.
    pub const ALL: Self = Self::of(&Permission::ALL);

    /// Just these.
    pub const fn of(list: &[Permission]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < list.len() {
            bits |= list[index] as u16;
            index += 1;
        }
        Self(bits)
    }

    /// Whether this one is in the set.
    pub const fn allows(self, permission: Permission) -> bool {
        self.0 & permission as u16 != 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set is empty. Who may do nothing in a workspace does not see it: 404.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What a user's two roles allow in a workspace.
    pub const fn of_user(instance: InstanceRole, workspace: Option<WorkspaceRole>) -> Self {
        let by_instance = match instance {
            InstanceRole::Owner | InstanceRole::Admin => return Self::ALL,
            InstanceRole::Auditor => Self::of(&[Permission::WorkspaceRead, Permission::AuditRead]),
            InstanceRole::Member => Self::NONE,
        };
        let by_workspace = match workspace {
            Some(WorkspaceRole::Admin) => Self::of(&[
                Permission::WorkspaceRead,
                Permission::TokensRead,
                Permission::TokensWrite,
                Permission::Verify,
                Permission::MembersRead,
                Permission::AuditRead,
                Permission::OwnTokens,
                Permission::TokensReveal,
                Permission::MembersWrite,
                Permission::PolicyWrite,
                Permission::WorkspaceWrite,
            ]),
            Some(WorkspaceRole::Member | WorkspaceRole::Viewer) => {
                Self::of(&[Permission::WorkspaceRead])
            }
            Some(WorkspaceRole::Verifier) => {
                Self::of(&[Permission::WorkspaceRead, Permission::Verify])
            }
            None => Self::NONE,
        };
        by_instance.or(by_workspace)
    }

    /// What the scopes of the audience `tessera` let a token do, before its user's own rights
    /// bound it. A scope that is not listed here gives nothing.
    pub fn of_scopes<'a>(scopes: impl IntoIterator<Item = &'a ScopeName>) -> Self {
        scopes.into_iter().fold(Self::NONE, |permissions, scope| {
            permissions.or(match scope.as_ref() {
                "tokens:read" => Self::of(&[Permission::WorkspaceRead, Permission::TokensRead]),
                "tokens:write" => Self::of(&[
                    Permission::WorkspaceRead,
                    Permission::TokensRead,
                    Permission::TokensWrite,
                ]),
                "verify" => Self::of(&[Permission::Verify]),
                "workspaces:read" => Self::of(&[Permission::WorkspaceRead]),
                "members:read" => Self::of(&[Permission::WorkspaceRead, Permission::MembersRead]),
                "tokens:reveal" => Self::of(&[
                    Permission::WorkspaceRead,
                    Permission::TokensRead,
                    Permission::TokensReveal,
                ]),
                "members:write" => Self::of(&[
                    Permission::WorkspaceRead,
                    Permission::MembersRead,
                    Permission::MembersWrite,
                ]),
                "policy:write" => Self::of(&[Permission::WorkspaceRead, Permission::PolicyWrite]),
                "workspaces:write" => {
                    Self::of(&[Permission::WorkspaceRead, Permission::WorkspaceWrite])
                }
                "audit:read" => Self::of(&[Permission::WorkspaceRead, Permission::AuditRead]),
                _ => Self::NONE,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_administrators_write_tokens() {
        for instance in InstanceRole::ALL {
            for workspace in WorkspaceRole::ALL.iter().map(|role| Some(*role)).chain([None]) {
                let administrator = matches!(instance, InstanceRole::Owner | InstanceRole::Admin)
                    || workspace == Some(WorkspaceRole::Admin);
                let permissions = Permissions::of_user(*instance, workspace);
                assert_eq!(permissions.allows(Permission::TokensWrite), administrator);
                assert_eq!(permissions.allows(Permission::TokensRead), administrator);
            }
        }
    }

    #[test]
    fn stranger_may_do_nothing() {
        assert!(Permissions::of_user(InstanceRole::Member, None).is_empty());
    }

    #[test]
    fn unknown_scope_gives_nothing() {
        let scopes = ["rivers:read".parse().unwrap(), "tokens".parse().unwrap()];
        assert!(Permissions::of_scopes(&scopes).is_empty());
    }

    #[test]
    fn no_scope_reaches_the_instance() {
        let all = ["tokens:read", "tokens:write", "verify", "workspaces:write", "policy:write"]
            .map(|name| name.parse().unwrap());
        assert!(!Permissions::of_scopes(&all).allows(Permission::InstanceWrite));
    }
}
