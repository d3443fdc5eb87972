//! Who asks, through which door, when.

use std::{net::IpAddr, sync::Arc};

use domain::{ids::SessionId, session::Visitor};
use time::OffsetDateTime;

use crate::{keys::Keys, verification::Known};

/// What every service method is told first.
#[derive(Clone, Debug)]
pub struct OpContext {
    /// Who asks.
    pub actor: Actor,
    /// The way in.
    pub surface: Surface,
    /// The request's id, for the log and the audit row.
    pub request_id: String,
    /// The session that asks, when it is one.
    pub session: Option<SessionId>,
    /// The caller's address, when there is one.
    pub client_ip: Option<IpAddr>,
    /// What the caller's program calls itself, when the door was told.
    pub user_agent: Option<Arc<str>>,
    /// This moment. One operation happens at one moment.
    pub now: OffsetDateTime,
    /// What the audit row of the operation is chained with: whoever is handed a context can leave a
    /// row, and nobody else can.
    pub(crate) keys: Arc<Keys>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Nobody that Tessera knows.
    Anonymous,
    /// Whoever runs the program on the server itself, with its keys and its database: everything.
    Operator,
    /// A person with a session.
    User(Visitor),
    /// A person with a session who must change their password before anything else.
    Restricted(Visitor),
    /// A token that manages tokens.
    Token(Arc<Known>),
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// The browser console.
    Console,
    /// The REST API.
    Rest,
    /// The command line.
    Cli,
    /// `/auth/forward`.
    Forward,
    /// `/oauth2`: introspection and revocation.
    OAuth2,
    /// The dialect of Devo.
    Devo,
    /// The dialect of Kriten.
    Kriten,
    /// The dialect of Robust Intelligence.
    RobustIntelligence,
    /// The server itself, not on behalf of a request.
    Server,
}

impl Surface {
    /// Whether people can change their password there.
    pub(crate) const fn changes_passwords(self) -> bool {
        matches!(self, Self::Console | Self::Rest)
    }

    /// The name that audit rows carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Rest => "rest",
            Self::Cli => "cli",
            Self::Forward => "forward",
            Self::OAuth2 => "oauth2",
            Self::Devo => "devo",
            Self::Kriten => "kriten",
            Self::RobustIntelligence => "robust_intelligence",
            Self::Server => "server",
        }
    }
}
