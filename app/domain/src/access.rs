//! Who may do what: permissions, and the two tables that give them.

use serde::{Deserialize, Serialize};

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

    /// Whether everything in the set is in the other one, too.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// What a user's two roles allow in a workspace, where members manage their own tokens or not.
    pub const fn of_user(
        instance: InstanceRole,
        workspace: Option<WorkspaceRole>,
        self_service: bool,
    ) -> Self {
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
            Some(WorkspaceRole::Member) if self_service => {
                Self::of(&[Permission::WorkspaceRead, Permission::OwnTokens])
            }
            Some(WorkspaceRole::Member) => Self::of(&[Permission::WorkspaceRead]),
            Some(WorkspaceRole::Viewer) => Self::of(&[
                Permission::WorkspaceRead,
                Permission::TokensRead,
                Permission::MembersRead,
            ]),
            Some(WorkspaceRole::Verifier) => {
                Self::of(&[Permission::WorkspaceRead, Permission::Verify])
            }
            None => Self::NONE,
        };
        by_instance.or(by_workspace)
    }

    /// What a user with this set may do with tokens of their own: all that can be done with a
    /// token, where they may manage their own.
    #[must_use]
    pub const fn on_own_tokens(self) -> Self {
        if self.allows(Permission::OwnTokens) {
            self.or(Self::of(&[
                Permission::TokensRead,
                Permission::TokensWrite,
                Permission::TokensReveal,
            ]))
        } else {
            self
        }
    }

    /// The scopes of the audience `tessera` that let a token do something.
    pub const SCOPES: [&'static str; 10] = [
        "tokens:read",
        "tokens:write",
        "tokens:reveal",
        "verify",
        "workspaces:read",
        "workspaces:write",
        "members:read",
        "members:write",
        "policy:write",
        "audit:read",
    ];

    /// Returns the scopes of `tessera` that let a token do more than see the workspace while it acts as a user with these
    /// permissions.
    pub fn scopes(self) -> Vec<&'static str> {
        let gives = |name: &str| {
            let scope = name.parse::<ScopeName>();
            scope.map_or(Self::NONE, |scope| Self::of_scopes([&scope]))
        };
        let seeing = Self::of(&[Permission::WorkspaceRead]);
        let useful = |name: &&str| !gives(name).and(self).is_within(seeing);
        Self::SCOPES.into_iter().filter(useful).collect()
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

/// Which tokens of a workspace somebody reaches, and whether they change them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenReach {
    /// None.
    #[default]
    None,
    /// All, to see them.
    Read,
    /// Their own, to manage them; nobody else's.
    Own,
    /// All, to manage them.
    All,
}

impl TokenReach {
    /// The reach of somebody with these permissions in the workspace and on tokens of their own.
    /// A token that asks has it as far as its scopes go: it may be bound to reading.
    pub const fn of(all: Permissions, own: Permissions) -> Self {
        if all.allows(Permission::TokensWrite) {
            Self::All
        } else if all.allows(Permission::TokensRead) {
            Self::Read
        } else if own.allows(Permission::TokensRead) {
            Self::Own
        } else {
            Self::None
        }
    }

    /// Whether tokens that are reached are changed, and made.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Own | Self::All)
    }

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Own => "own",
            Self::All => "all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_standing() -> impl Iterator<Item = (InstanceRole, Option<WorkspaceRole>, bool)> {
        InstanceRole::ALL.iter().flat_map(|instance| {
            let roles = WorkspaceRole::ALL.iter().map(|role| Some(*role)).chain([None]);
            roles.flat_map(|role| [false, true].map(|self_service| (*instance, role, self_service)))
        })
    }

    #[test]
    fn only_administrators_write_all_tokens_and_viewers_read_them() {
        for (instance, workspace, self_service) in every_standing() {
            let administrator = matches!(instance, InstanceRole::Owner | InstanceRole::Admin)
                || workspace == Some(WorkspaceRole::Admin);
            let permissions = Permissions::of_user(instance, workspace, self_service);
            for permission in [
                Permission::TokensWrite,
                Permission::TokensReveal,
                Permission::MembersWrite,
                Permission::PolicyWrite,
                Permission::WorkspaceWrite,
            ] {
                assert_eq!(permissions.allows(permission), administrator, "{permission:?}");
            }
            let reads = administrator || workspace == Some(WorkspaceRole::Viewer);
            assert_eq!(permissions.allows(Permission::TokensRead), reads);
            assert_eq!(permissions.allows(Permission::MembersRead), reads);
        }
    }

    #[test]
    fn members_manage_their_own_tokens_only_in_self_service() {
        for (instance, workspace, self_service) in every_standing() {
            let permissions = Permissions::of_user(instance, workspace, self_service);
            let own = permissions.on_own_tokens();
            let expected = permissions.allows(Permission::TokensWrite)
                || (workspace == Some(WorkspaceRole::Member) && self_service);
            assert_eq!(own.allows(Permission::TokensWrite), expected);
            assert!(permissions.is_within(own));
        }
    }

    #[test]
    fn reach_is_what_lists_and_changes_allow() {
        for (instance, workspace, self_service) in every_standing() {
            let all = Permissions::of_user(instance, workspace, self_service);
            let own = all.on_own_tokens();
            let reach = TokenReach::of(all, own);
            let expected = match (all.allows(Permission::TokensRead), workspace) {
                (true, Some(WorkspaceRole::Viewer)) if !all.allows(Permission::TokensWrite) => {
                    TokenReach::Read
                }
                (true, _) => TokenReach::All,
                (false, Some(WorkspaceRole::Member)) if self_service => TokenReach::Own,
                (false, _) => TokenReach::None,
            };
            assert_eq!(reach, expected, "{instance} {workspace:?} {self_service}");
            assert_eq!(reach.manages(), own.allows(Permission::TokensWrite));
            assert_eq!(serde_json::to_value(reach).unwrap(), reach.as_str());
        }
    }

    #[test]
    fn auditor_reads_the_audit_log_everywhere() {
        let auditor = Permissions::of_user(InstanceRole::Auditor, None, true);
        assert!(auditor.allows(Permission::AuditRead) && auditor.allows(Permission::WorkspaceRead));
        assert!(!auditor.allows(Permission::TokensRead));
    }

    #[test]
    fn verifier_only_verifies() {
        let verifier =
            Permissions::of_user(InstanceRole::Member, Some(WorkspaceRole::Verifier), true);
        let expected = Permissions::of(&[Permission::WorkspaceRead, Permission::Verify]);
        assert_eq!(verifier.on_own_tokens(), expected);
    }

    #[test]
    fn stranger_may_do_nothing() {
        assert!(Permissions::of_user(InstanceRole::Member, None, true).is_empty());
    }

    #[test]
    fn scopes_are_those_that_let_a_user_do_something() {
        let of = |role| Permissions::of_user(InstanceRole::Member, Some(role), true);
        assert_eq!(of(WorkspaceRole::Verifier).scopes(), ["verify"]);
        assert_eq!(of(WorkspaceRole::Member).scopes(), [""; 0]);
        let own = of(WorkspaceRole::Member).on_own_tokens();
        assert_eq!(own.scopes(), ["tokens:read", "tokens:write", "tokens:reveal"]);
        // All but the one that only shows the workspace.
        assert_eq!(of(WorkspaceRole::Admin).scopes().len(), Permissions::SCOPES.len() - 1);
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
