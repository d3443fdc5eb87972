//! Roles and kinds of users.

use domain::roles::{InstanceRole, UserKind, WorkspaceRole};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! role {
    ($(#[$doc:meta])* $name:ident as $schema:ident of $domain:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[schema(as = $schema)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant),+ }

        impl From<$domain> for $name {
            fn from(role: $domain) -> Self {
                match role { $($domain::$variant => Self::$variant),+ }
            }
        }

        impl From<$name> for $domain {
            fn from(role: $name) -> Self {
                match role { $($name::$variant => Self::$variant),+ }
            }
        }
    };
}

role!(
    /// A user's role on the whole instance.
    InstanceRoleBody as InstanceRole of InstanceRole {
        /// May do everything; only owners can appoint and change owners.
        Owner,
        /// May do everything else.
        Admin,
        /// Reads the audit log of all workspaces.
        Auditor,
        /// Has no rights beyond the workspaces of which they are a member.
        Member,
    }
);

role!(
    /// A member's role in a workspace.
    WorkspaceRoleBody as WorkspaceRole of WorkspaceRole {
        /// Manages members, policy and all tokens of the workspace.
        Admin,
        /// Manages their own tokens if policy allows it.
        Member,
        /// Reads tokens' records and members.
        Viewer,
        /// May only verify tokens.
        Verifier,
    }
);

role!(
    /// Whether a user is a person or a service account.
    UserKindBody as UserKind of UserKind {
        /// A person, who signs in.
        Person,
        /// A service account, which never signs in; tokens act as it.
        Service,
    }
);
