//! The roles of a user on the instance and in a workspace.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The error for a text that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a role")]
pub struct UnknownRole(pub String);

macro_rules! role {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every role of this kind.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the role's name in the API and the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownRole;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(UnknownRole(other.to_owned())),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

role!(
    /// The role of a user on the whole instance.
    InstanceRole {
        /// May do everything, and cannot be removed by an admin.
        Owner = "owner",
        /// May do everything.
        Admin = "admin",
        /// Reads the audit log everywhere.
        Auditor = "auditor",
        /// May do nothing outside the workspaces that the user is a member of.
        Member = "member",
    }
);

impl InstanceRole {
    /// Returns whether this role may do more than the other.
    pub const fn exceeds(self, other: Self) -> bool {
        self.rank() > other.rank()
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Owner => 3,
            Self::Admin => 2,
            Self::Auditor => 1,
            Self::Member => 0,
        }
    }

    /// Returns whether this role manages the instance.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

role!(
    /// The role of a user in one workspace.
    WorkspaceRole {
        /// Manages members, policy and all tokens of the workspace.
        Admin = "admin",
        /// Works in the workspace, and manages their own tokens if the policy allows it.
        Member = "member",
        /// Reads only.
        Viewer = "viewer",
        /// Verifies tokens only.
        Verifier = "verifier",
    }
);

role!(
    /// Whether a user is a person or a service account.
    UserKind {
        /// A person, who can sign in.
        Person = "person",
        /// A program, which never signs in; its tokens act as it.
        Service = "service",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_survives_a_round_trip_through_its_name() {
        for role in InstanceRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        for role in WorkspaceRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert!("root".parse::<InstanceRole>().is_err());
    }
}
