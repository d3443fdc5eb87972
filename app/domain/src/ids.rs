//! Identifiers. Each kind has its own type, so that one kind cannot be used in place of another.
//!
//! All are UUIDs in the usual hyphenated form. Tessera creates version 7 (RFC 9562 section 5.7).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// The id of a workspace.
    WorkspaceId
);
id!(
    /// The id of a person or a service account.
    UserId
);
id!(
    /// The id of an audience: an API that tokens are meant for.
    AudienceId
);
id!(
    /// The id of a token: the lasting record, not the secret.
    TokenId
);
id!(
    /// The id of a person's session: its row, not the content of the cookie.
    SessionId
);
id!(
    /// The id of one of a token's secrets: its row, not its text.
    SecretId
);
id!(
    /// The id of an invitation to a workspace.
    InvitationId
);
