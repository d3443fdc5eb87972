//! Sessions of people.
//!
//! A session's secret is 256 random bits in a cookie; the database contains its SHA-256. A session
//! expires when it is idle for too long and at its absolute end. It also ends at sign-out, when its
//! user is disabled, and when the user has too many sessions. Each sign-in creates a new session
//! (OWASP ASVS 5.0 section 7.2.4).

mod attempt;
mod end;
mod known_browser;
mod list;
mod resolve;
mod sign_in;
mod sign_out;
mod throttle;

pub(crate) use known_browser::Account;
pub use known_browser::{COOKIE_SEPARATOR, KNOWN_FOR};
pub use resolve::Resolved;
pub(crate) use sign_in::proven;
pub(crate) use throttle::Throttle;

use std::sync::Arc;

use domain::{audit_action::AuditAction, ids::SessionId, session::Visitor};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::Change,
    secret::{KnownBrowser, Password, SessionSecret},
    state::Inner,
    store::sessions::{self as store, NewSession},
};

/// The maximum number of sessions of one person. A further one ends the least recently used one.
const SESSIONS_MAX: i64 = 100;
/// The maximum length of a stored user agent, in characters.
const USER_AGENT_MAX: usize = 256;

/// The operations to sign in and out, and on sessions.
#[derive(Clone, Copy)]
pub struct Sessions<'a> {
    pub(crate) inner: &'a Arc<Inner>,
}

/// The input of a sign-in.
#[derive(Debug)]
pub struct SignIn {
    /// The address, as typed.
    pub email: String,
    /// The password, as typed.
    pub password: Password,
    /// The browser's user agent.
    pub user_agent: Option<String>,
    /// The browser's proof that it signed in before.
    pub known_browser: Option<KnownBrowser>,
}

/// A new session.
#[derive(Debug)]
pub struct SignedIn {
    /// The secret for the cookie. It leaves the server once.
    pub secret: SessionSecret,
    /// The person.
    pub visitor: Visitor,
    /// The absolute end.
    pub expires_at: OffsetDateTime,
    /// Whether the person must change their password before anything else.
    pub must_change_password: bool,
    /// Whether the password breaks the rule for new ones.
    pub password_is_weak: bool,
    /// The browser's proof that it signed in, for a cookie with the lifetime [`KNOWN_FOR`]. `None`
    /// for clients without cookies.
    pub known_browser: Option<KnownBrowser>,
}

impl Inner {
    /// Creates a session within a transaction.
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
                action: AuditAction::SessionEnd,
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
