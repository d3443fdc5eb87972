//! The caller, the surface and the time of an operation.

use std::{fmt, net::IpAddr, sync::Arc};

use domain::{
    ids::{SessionId, TokenId, UserId},
    roles::InstanceRole,
    session::Visitor,
};
use time::OffsetDateTime;

use super::{Known, ServiceError};
use crate::keys::Keys;

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

/// The kind and the id, for the log: no names, no addresses, no secrets.
impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => formatter.write_str("anonymous"),
            Self::Operator => formatter.write_str("operator"),
            Self::User(visitor) | Self::Restricted(visitor) => {
                write!(formatter, "user:{}", visitor.user.id.0)
            }
            Self::Token(known) => write!(formatter, "token:{}", known.token_id.0),
        }
    }
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

impl OpContext {
    /// Returns the user that the caller is or acts as.
    pub(crate) fn user_id(&self) -> Option<UserId> {
        match &self.actor {
            Actor::User(visitor) | Actor::Restricted(visitor) => Some(visitor.user.id),
            Actor::Token(facts) => Some(facts.surroundings.user.id),
            Actor::Anonymous | Actor::Operator => None,
        }
    }

    /// Returns whether the caller is authenticated. This says nothing about their rights.
    pub const fn is_known(&self) -> bool {
        !matches!(self.actor, Actor::Anonymous)
    }

    /// Refuses unauthenticated callers, and people who must change their password first.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, `PasswordChangeRequired`.
    pub const fn authenticated(&self) -> Result<(), ServiceError> {
        match self.actor {
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
            Actor::Restricted(_) => Err(ServiceError::PasswordChangeRequired),
            Actor::Operator | Actor::User(_) | Actor::Token(_) => Ok(()),
        }
    }

    /// Returns the person who is signed in.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`; `PasswordChangeRequired`; `Forbidden` for a token and the command line.
    pub(crate) fn person(&self) -> Result<&Visitor, ServiceError> {
        match &self.actor {
            Actor::User(visitor) => Ok(visitor),
            Actor::Restricted(_) => Err(ServiceError::PasswordChangeRequired),
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
            Actor::Operator | Actor::Token(_) => {
                Err(ServiceError::Forbidden("Only signed-in people can do this."))
            }
        }
    }

    /// Checks that the caller is the command line or an administrator of the instance.
    pub(crate) fn manages_instance(&self) -> Result<(), ServiceError> {
        match &self.actor {
            Actor::Operator => Ok(()),
            Actor::User(visitor) if visitor.is_instance_admin() => Ok(()),
            Actor::User(_) | Actor::Token(_) => {
                Err(ServiceError::Forbidden("Only instance administrators can do this."))
            }
            Actor::Restricted(_) => Err(ServiceError::PasswordChangeRequired),
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
        }
    }

    /// Returns whether the caller has all rights of the instance's owners.
    pub(crate) const fn owns_instance(&self) -> bool {
        match &self.actor {
            Actor::Operator => true,
            Actor::User(visitor) => matches!(visitor.instance_role, InstanceRole::Owner),
            Actor::Token(_) | Actor::Restricted(_) | Actor::Anonymous => false,
        }
    }

    /// Checks that the caller is the command line.
    pub(crate) const fn is_operator(&self) -> Result<(), ServiceError> {
        match self.actor {
            Actor::Operator => Ok(()),
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
            Actor::Restricted(_) => Err(ServiceError::PasswordChangeRequired),
            Actor::User(_) | Actor::Token(_) => {
                Err(ServiceError::Forbidden("Only the server's command line can do this."))
            }
        }
    }

    /// Returns the calling token.
    pub(crate) fn own_token(&self) -> Option<TokenId> {
        match &self.actor {
            Actor::Token(known) => Some(known.token_id),
            _ => None,
        }
    }
}
