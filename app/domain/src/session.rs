//! Who is signed in.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{ids::SessionId, roles::InstanceRole, token::UserSummary};

/// A person with a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// The person.
    pub user: UserSummary,
    /// What they are on the instance.
    pub instance_role: InstanceRole,
}

impl Visitor {
    /// Whether they manage the whole instance.
    pub const fn is_instance_admin(&self) -> bool {
        matches!(self.instance_role, InstanceRole::Owner | InstanceRole::Admin)
    }
}

/// A session that is not over, as its person and administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id; the cookie's text is another thing and leaves the server once.
    pub id: SessionId,
    /// Who signed in.
    pub user: UserSummary,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When they signed in.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    /// Its end, used or not.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The address that signed in.
    pub client_ip: Option<String>,
    /// What the browser called itself then.
    pub user_agent: String,
}

/// Rows of a page of sessions when nothing else is asked for.
pub const SESSIONS_LIMIT_DEFAULT: u16 = 50;
/// Most rows of a page of sessions.
pub const SESSIONS_LIMIT_MAX: u16 = 200;

/// Which sessions, how many. The newest come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionQuery {
    /// Only those of this user: id or address.
    pub user: Option<String>,
    /// Rows of a page, 1 to [`SESSIONS_LIMIT_MAX`].
    pub limit: u16,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

impl Default for SessionQuery {
    fn default() -> Self {
        Self { user: None, limit: SESSIONS_LIMIT_DEFAULT, cursor: None }
    }
}
