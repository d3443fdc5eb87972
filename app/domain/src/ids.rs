//! Identifiers. Each kind has a type of its own, so that one cannot stand for another.
//!
//! All are UUIDs (version 7 where Tessera makes them, RFC 9562 section 5.7), written in the usual
//! hyphenated form.

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
    /// A workspace.
    WorkspaceId
);
id!(
    /// A person or a service account.
    UserId
);
id!(
    /// An audience: one API that tokens are meant for.
    AudienceId
);
id!(
    /// A token: the lasting record, not the secret.
    TokenId
);
id!(
    /// A person's session: its row, not what the cookie holds.
    SessionId
);
id!(
    /// One of a token's secrets: its row, not its text.
    SecretId
);
id!(
    /// An invitation to a workspace.
    InvitationId
);
