//! Find the session of a cookie.

use domain::{ids::SessionId, session::Visitor};
use time::Duration;

use super::Sessions;
use crate::{Actor, OpContext, ServiceError, secret::SessionSecret, store::sessions as store};

/// A session's last use is kept to the minute: a page of many requests writes once.
const TOUCH_EVERY: Duration = Duration::minutes(1);

/// A session that is not over.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The session.
    pub id: SessionId,
    /// Its person.
    pub visitor: Visitor,
    /// Whether they must change their password before anything else.
    pub must_change_password: bool,
}

impl Resolved {
    /// Who asks by this session.
    pub fn actor(self) -> Actor {
        if self.must_change_password {
            Actor::Restricted(self.visitor)
        } else {
            Actor::User(self.visitor)
        }
    }
}

impl Sessions<'_> {
    /// Returns the session and its person, and notes its use; `None` for a session that is unknown or over.
    pub async fn resolve(
        &self,
        ctx: &OpContext,
        secret: &SessionSecret,
    ) -> Result<Option<Resolved>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let digest = secret.digest();
        let idle_since = ctx.now - self.inner.settings.session_idle;
        let Some(session) = store::live(&mut connection, &digest, ctx.now, idle_since).await?
        else {
            return Ok(None);
        };
        if session.last_seen_at + TOUCH_EVERY <= ctx.now {
            store::touch(&mut connection, &digest, ctx.now).await?;
        }
        Ok(Some(Resolved {
            id: session.id,
            visitor: session.visitor,
            must_change_password: session.must_change_password,
        }))
    }
}
