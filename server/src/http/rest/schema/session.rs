//! Sessions of people.

use domain::{session::Session, token::Page};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::UserBody;

/// A session that is not over.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionBody {
    /// Its id; not what its cookie holds.
    id: Uuid,
    /// Who signed in.
    user: UserBody,
    /// Whether it is the one that asks.
    current: bool,
    /// When they signed in.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339")]
    last_seen_at: OffsetDateTime,
    /// Its end, used or not; one that is not used for long ends earlier.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// The address that signed in.
    #[schema(example = "192.0.2.7")]
    client_ip: Option<String>,
    /// What the browser called itself then.
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
    /// The rows, the newest first.
    items: Vec<SessionBody>,
    /// What to send as `cursor` for the next page; null on the last one.
    next: Option<String>,
}

impl From<Page<Session>> for SessionPageBody {
    fn from(page: Page<Session>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
#[schema(as = EndedSessions)]
pub(crate) struct EndedBody {
    /// How many.
    pub(in crate::http::rest) ended: u64,
}
