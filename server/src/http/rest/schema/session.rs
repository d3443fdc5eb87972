//! Sessions of people.

use domain::{session::Session, token::Page};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::UserBody;

/// An active session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionBody {
    /// Its ID, which is not the value of its cookie.
    id: Uuid,
    /// The person who signed in.
    user: UserBody,
    /// Whether it is the session that sends the request.
    current: bool,
    /// When the person signed in.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339")]
    last_seen_at: OffsetDateTime,
    /// When it expires at the latest. A session that is unused for a long time expires earlier.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// The address from which the person signed in.
    #[schema(example = "192.0.2.7")]
    client_ip: Option<String>,
    /// The browser's `User-Agent` at sign-in.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")]
    user_agent: String,
}

impl From<Session> for SessionBody {
    fn from(session: Session) -> Self {
        Self {
            id: session.id.0,
            user: session.user.into(),
            current: session.current,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            client_ip: session.client_ip,
            user_agent: session.user_agent,
        }
    }
}

/// One page of sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionPage)]
pub(crate) struct SessionPageBody {
    /// The rows, newest first.
    items: Vec<SessionBody>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

impl From<Page<Session>> for SessionPageBody {
    fn from(page: Page<Session>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// The number of sessions that were ended.
#[derive(Serialize, ToSchema)]
#[schema(as = EndedSessions)]
pub(crate) struct EndedBody {
    /// The number of sessions.
    pub(in crate::http::rest) ended: u64,
}
