//! Sessions of people.
//!
//! A session's secret is 256 random bits in a cookie; the database has its SHA-256. It ends when it
//! is idle too long, at its absolute end, at sign-out, when its user is disabled, and when they have too many. Signing in
//! always makes a new one (OWASP ASVS 5.0 section 7.2.4).

mod attempt;
mod end;
mod known_browser;
mod list;
mod met;
mod resolve;
mod sign_in;
mod sign_out;
mod throttle;

pub(crate) use known_browser::Account;
pub use known_browser::{COOKIE_SEPARATOR, KNOWN_FOR};
pub(crate) use met::MetSessions;
pub use resolve::Resolved;
pub(crate) use sign_in::proven;
pub(crate) use throttle::{Throttle, network};

use std::sync::Arc;

use domain::{ids::SessionId, session::Visitor};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    OpContext, ServiceError,
    audit::{Change, record},
    authority::Inner,
    secret::{KnownBrowser, Password, SessionSecret},
    store::sessions::{self as store, NewSession},
};

/// Sessions of one person. A further one ends the one that was unused for longest.
const SESSIONS_MAX: i64 = 100;
/// Longest user agent that is kept, in characters.
const USER_AGENT_MAX: usize = 256;

/// Signing in and out.
#[derive(Clone, Copy)]
pub struct Sessions<'a> {
    pub(crate) inner: &'a Arc<Inner>,
}

/// What a person types to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The address, as typed.
    pub email: String,
    /// The password, as typed.
    pub password: Password,
    /// The browser's name of itself.
    pub user_agent: Option<String>,
    /// The browser's proof that it signed in before.
    pub known_browser: Option<KnownBrowser>,
}

/// A new session.
#[derive(Debug)]
pub struct SignedIn {
    /// For the cookie. Leaves the server once.
    pub secret: SessionSecret,
    /// Who it is.
    pub visitor: Visitor,
    /// Its absolute end.
    pub expires_at: OffsetDateTime,
    /// Whether the person must change their password before anything else.
    pub must_change_password: bool,
    /// Whether the password is below the rule for new ones.
    pub password_is_weak: bool,
    /// The browser's proof that it signed in, for a cookie of [`KNOWN_FOR`]. `None` for clients that keep no
    /// cookie.
    pub known_browser: Option<KnownBrowser>,
}

impl Inner {
    /// Makes a session within a transaction.
    pub(crate) async fn open_session(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        visitor: Visitor,
        user_agent: Option<&str>,
    ) -> Result<SignedIn, ServiceError> {
        let secret = SessionSecret::generate(self.entropy.as_ref());
        let expires_at = ctx.now + self.settings.session_absolute;
        let user_agent: String = user_agent
            .unwrap_or_default()
            .chars()
            .filter(|character| !character.is_control())
            .take(USER_AGENT_MAX)
            .collect();
        let session = NewSession {
            id: SessionId(self.uuid(ctx.now)),
            digest: &secret.digest(),
            user: visitor.user.id,
            expires_at,
            client_ip: ctx.client_ip,
            user_agent: &user_agent,
        };
        let ended = store::end_beyond(connection, visitor.user.id, SESSIONS_MAX - 1).await?;
        store::insert(connection, &session, ctx.now).await?;
        self.met_sessions.note(secret.digest(), visitor.user.id);
        if ended > 0 {
            let change = Change {
                workspace: None,
                action: "session.end",
                subject_id: Some(visitor.user.id.0),
                subject_name: &visitor.user.email,
                before: Some(json!({"sessions": ended})),
                after: Some(json!({"reason": "too many sessions", "limit": SESSIONS_MAX})),
            };
            record(connection, ctx, change).await?;
        }
        Ok(SignedIn {
            secret,
            visitor,
            expires_at,
            must_change_password: false,
            password_is_weak: false,
            known_browser: None,
        })
    }
}
