//! The caller, the surface and the time of an operation.

use std::{net::IpAddr, sync::Arc};

use domain::{ids::SessionId, session::Visitor};
use time::OffsetDateTime;

use crate::{keys::Keys, verification::Known};

/// The first argument of every service method.
#[derive(Clone, Debug)]
pub struct OpContext {
    /// The caller.
    pub actor: Actor,
    /// The surface.
    pub surface: Surface,
    /// The request's id, for the log and the audit row.
    pub request_id: String,
    /// The calling session, if there is one.
    pub session: Option<SessionId>,
    /// The caller's address, if there is one.
    pub client_ip: Option<IpAddr>,
    /// The caller's program as it identifies itself, if the surface receives that.
    pub user_agent: Option<Arc<str>>,
    /// The current time. An operation uses a single time throughout.
    pub now: OffsetDateTime,
    /// The keys that chain the operation's audit row. Only code that receives a context can write
    /// an audit row.
    pub(crate) keys: Arc<Keys>,
}

/// The caller.
#[derive(Clone, Debug)]
pub enum Actor {
    /// An unauthenticated caller.
    Anonymous,
    /// The user who runs the program on the server itself, with its keys and its database. May do
    /// everything.
    Operator,
    /// A person with a session.
    User(Visitor),
    /// A person with a session who must change their password before doing anything else.
    Restricted(Visitor),
    /// A token that manages tokens.
    Token(Arc<Known>),
}

/// A surface.
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
    /// The Devo surface.
    Devo,
    /// The Kriten surface.
    Kriten,
    /// The Robust Intelligence surface.
    RobustIntelligence,
    /// The server itself, not on behalf of a request.
    Server,
}

impl Surface {
    /// Returns whether people can change their password there.
    pub(crate) const fn changes_passwords(self) -> bool {
        matches!(self, Self::Console | Self::Rest)
    }

    /// Returns the name in audit rows.
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
