//! Find the session that belongs to a cookie.

use domain::{
    ids::{SessionId, UserId},
    session::Visitor,
};
use time::Duration;

use super::Sessions;
use crate::{
    Actor, Holder, OpContext, ServiceError,
    facts::{Presenter, Taken},
    secret::SessionSecret,
    store::sessions::{self as store, LiveSession},
};

/// How precisely the last use of a session is stored. A page of many requests writes it once.
const TOUCH_EVERY: Duration = Duration::minutes(1);

/// An active session.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The session.
    pub id: SessionId,
    /// The person.
    pub visitor: Visitor,
    /// Whether they must change their password before anything else.
    pub must_change_password: bool,
}

impl Resolved {
    /// Returns the actor of requests with this session.
    pub fn actor(self) -> Actor {
        if self.must_change_password {
            Actor::Restricted(self.visitor)
        } else {
            Actor::User(self.visitor)
        }
    }
}

/// The part of its address's limit that a lookup used: none for a session that was seen before.
#[derive(Clone, Copy)]
#[must_use]
pub(super) struct Looking {
    from: Presenter,
    taken: Option<Taken>,
    /// The person of the session when it was last seen.
    person: Option<UserId>,
}

impl Sessions<'_> {
    /// Returns the session and its person, and records its use; `None` for a session that is
    /// unknown or has ended.
    ///
    /// # Errors
    /// `TooManyUnknown` if too many texts from this address were not sessions.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "resolve",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn resolve(
        &self,
        ctx: &OpContext,
        secret: &SessionSecret,
    ) -> Result<Option<Resolved>, ServiceError> {
        let digest = secret.digest();
        let looking = self.look(ctx, secret)?;
        let session = match looking.person {
            // A session that existed before must not wait behind unknown callers.
            Some(person) => Holder::of_person(person).scope(self.find_live(ctx, &digest)).await,
            None => self.find_live(ctx, &digest).await,
        };
        let person =
            |session: &Option<LiveSession>| session.as_ref().map(|session| session.visitor.user.id);
        self.looked(looking, digest, session.as_ref().map(person));
        Ok(session?.map(|session| Resolved {
            id: session.id,
            visitor: session.visitor,
            must_change_password: session.must_change_password,
        }))
    }

    /// Takes the permission to look up a text that may be a session's secret.
    ///
    /// # Errors
    /// `TooManyUnknown`.
    pub(super) fn look(
        self,
        ctx: &OpContext,
        secret: &SessionSecret,
    ) -> Result<Looking, ServiceError> {
        let from = Presenter::at(ctx.client_ip);
        let person = self.inner.met_sessions.person(&secret.digest());
        let taken = if person.is_some() {
            None
        } else {
            let has_form = SessionSecret::has_form(secret.expose());
            let now = self.inner.clock.elapsed();
            Some(self.inner.unknown_sessions.take(from, has_form, now)?)
        };
        Ok(Looking { from, taken, person })
    }

    /// Records whether a text was a session's secret. It doesn't count against the limit if it was
    /// one, or if the lookup failed.
    pub(super) fn looked(
        self,
        looking: Looking,
        digest: [u8; 32],
        found: Result<Option<UserId>, &ServiceError>,
    ) {
        match found {
            Ok(Some(person)) => self.inner.met_sessions.note(digest, person),
            Ok(None) => return self.inner.met_sessions.forget(&digest),
            Err(_) => {}
        }
        if let Some(taken) = looking.taken {
            let now = self.inner.clock.elapsed();
            self.inner.unknown_sessions.give_back(looking.from, taken, now);
        }
    }

    async fn find_live(
        &self,
        ctx: &OpContext,
        digest: &[u8; 32],
    ) -> Result<Option<LiveSession>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let idle_since = ctx.now - self.inner.settings.session_idle;
        let session = store::live(&mut connection, digest, ctx.now, idle_since).await?;
        if session.as_ref().is_some_and(|session| session.last_seen_at + TOUCH_EVERY <= ctx.now) {
            store::touch(&mut connection, digest, ctx.now).await?;
        }
        Ok(session)
    }
}
