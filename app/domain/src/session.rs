//! Signed-in people and their sessions.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{ids::SessionId, roles::InstanceRole, token::UserSummary};

/// A person with a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// The person.
    pub user: UserSummary,
    /// The person's role on the instance.
    pub instance_role: InstanceRole,
}

impl Visitor {
    /// Returns whether the person manages the whole instance.
    pub const fn is_instance_admin(&self) -> bool {
        matches!(self.instance_role, InstanceRole::Owner | InstanceRole::Admin)
    }
}

/// A session that has not expired, as its owner and administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session's id. The text of the cookie is different, and leaves the server only once.
    pub id: SessionId,
    /// The user who signed in.
    pub user: UserSummary,
    /// Whether this is the session that sent the request.
    pub current: bool,
    /// When the user signed in.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the session was last used, to the minute.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    /// When the session expires, even if it is in use.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The address that the user signed in from.
    pub client_ip: Option<String>,
    /// The browser's user agent at that time.
    pub user_agent: String,
}

/// The default number of rows on a page of sessions.
pub const SESSIONS_LIMIT_DEFAULT: u16 = 50;
/// The maximum number of rows on a page of sessions.
pub const SESSIONS_LIMIT_MAX: u16 = 200;

/// A query for sessions. The newest come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionQuery {
    /// Only sessions of this user: id or e-mail address.
    pub user: Option<String>,
    /// The number of rows on the page, 1 to [`SESSIONS_LIMIT_MAX`].
    pub limit: u16,
    /// Where the page begins: the `next` of the previous page.
    pub cursor: Option<String>,
}

impl Default for SessionQuery {
    fn default() -> Self {
        Self { user: None, limit: SESSIONS_LIMIT_DEFAULT, cursor: None }
    }
}
