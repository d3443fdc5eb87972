//! Access control: the permissions, and the two tables that assign them to roles and scopes.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::ScopeName,
    roles::{InstanceRole, WorkspaceRole},
};

/// A permission of a caller in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Permission {
    /// See the workspace: its name and its overview.
    WorkspaceRead = 1,
    /// See its tokens.
    TokensRead = 1 << 1,
    /// Create, change and delete its tokens.
    TokensWrite = 1 << 2,
    /// Verify its tokens.
    Verify = 1 << 3,
    /// See its members.
    MembersRead = 1 << 4,
    /// Read its audit log.
    AuditRead = 1 << 5,
    /// Manage the instance: create workspaces and change catalogues.
    InstanceWrite = 1 << 6,
    /// Create, see, change and delete the caller's own tokens.
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

/// A set of permissions. It is empty by default: everything that is not granted is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u16);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);

    /// Every permission.
    pub const ALL: Self = Self::of(&Permission::ALL);

    /// Creates a set of exactly these permissions.
    pub const fn of(list: &[Permission]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < list.len() {
            bits |= list[index] as u16;
            index += 1;
        }
        Self(bits)
    }

    /// Returns whether this permission is in the set.
    pub const fn allows(self, permission: Permission) -> bool {
        self.0 & permission as u16 != 0
    }

    /// Returns the permissions that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the permissions that are in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether the set is empty. A caller without any permission in a workspace does not
    /// see it and gets a 404.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether the other set contains all permissions of this one.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the permissions that a user's two roles give in a workspace. `self_service` is
    /// whether its members manage their own tokens.
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

    /// Returns the permissions of a user with this set on the user's own tokens: full control, if
    /// the user may manage them.
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

    /// The scopes of the audience `tessera` that give a token permissions.
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

    /// Returns the scopes of `tessera` that let a token do more than see the workspace while it
    /// acts as an owner with these permissions.
    pub fn scopes(self) -> Vec<&'static str> {
        let gives = |name: &str| {
            let scope = name.parse::<ScopeName>();
            scope.map_or(Self::NONE, |scope| Self::of_scopes([&scope]))
        };
        let seeing = Self::of(&[Permission::WorkspaceRead]);
        let useful = |name: &&str| !gives(name).and(self).is_within(seeing);
        Self::SCOPES.into_iter().filter(useful).collect()
    }

    /// Returns the permissions that the scopes of the audience `tessera` give a token, before they
    /// are limited to the owner's own permissions. Scopes that are not listed here give none.
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

/// Which tokens of a workspace a caller can reach, and whether the caller can change them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenReach {
    /// No tokens.
    #[default]
    None,
    /// All tokens, to see them.
    Read,
    /// Only the caller's own tokens, to manage them.
    Own,
    /// All tokens, to manage them.
    All,
}

impl TokenReach {
    /// Returns the reach of a caller with the permissions `all` in the workspace and `own` on the
    /// caller's own tokens. If the caller is a token, its scopes may limit it further: it may be
    /// allowed only to read.
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

    /// Returns whether the caller may create tokens and change those within reach.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Own | Self::All)
    }

    /// Returns its name in the API.
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

    fn every_role_combination() -> impl Iterator<Item = (InstanceRole, Option<WorkspaceRole>, bool)>
    {
        InstanceRole::ALL.iter().flat_map(|instance| {
            let roles = WorkspaceRole::ALL.iter().map(|role| Some(*role)).chain([None]);
            roles.flat_map(|role| [false, true].map(|self_service| (*instance, role, self_service)))
        })
    }

    #[test]
    fn only_administrators_write_all_tokens_and_viewers_read_them() {
        for (instance, workspace, self_service) in every_role_combination() {
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
        for (instance, workspace, self_service) in every_role_combination() {
            let permissions = Permissions::of_user(instance, workspace, self_service);
            let own = permissions.on_own_tokens();
            let expected = permissions.allows(Permission::TokensWrite)
                || (workspace == Some(WorkspaceRole::Member) && self_service);
            assert_eq!(own.allows(Permission::TokensWrite), expected);
            assert!(permissions.is_within(own));
        }
    }

    #[test]
    fn token_reach_follows_the_permissions() {
        for (instance, workspace, self_service) in every_role_combination() {
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
    fn non_member_has_no_permissions() {
        assert!(Permissions::of_user(InstanceRole::Member, None, true).is_empty());
    }

    #[test]
    fn scopes_follow_the_permissions_of_the_role() {
        let of = |role| Permissions::of_user(InstanceRole::Member, Some(role), true);
        assert_eq!(of(WorkspaceRole::Verifier).scopes(), ["verify"]);
        assert_eq!(of(WorkspaceRole::Member).scopes(), [""; 0]);
        let own = of(WorkspaceRole::Member).on_own_tokens();
        assert_eq!(own.scopes(), ["tokens:read", "tokens:write", "tokens:reveal"]);
        // All except the one that only shows the workspace.
        assert_eq!(of(WorkspaceRole::Admin).scopes().len(), Permissions::SCOPES.len() - 1);
    }

    #[test]
    fn unknown_scope_grants_no_permission() {
        let scopes = ["rivers:read".parse().unwrap(), "tokens".parse().unwrap()];
        assert!(Permissions::of_scopes(&scopes).is_empty());
    }

    #[test]
    fn no_scope_grants_instance_permissions() {
        let all = ["tokens:read", "tokens:write", "verify", "workspaces:write", "policy:write"]
            .map(|name| name.parse().unwrap());
        assert!(!Permissions::of_scopes(&all).allows(Permission::InstanceWrite));
    }
}
