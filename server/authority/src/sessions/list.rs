//! List sessions.

use domain::{
    ids::{SessionId, UserId},
    names::WrittenEmail,
    session::{SESSIONS_LIMIT_MAX, Session, SessionQuery},
    token::Page,
};
use sqlx::PgConnection;

use super::Sessions;
use crate::{
    OpContext, ServiceError,
    kernel::{Actor, cursor},
    store::{
        sessions::{self as store, Filter},
        users,
    },
};

/// The sessions that a caller reaches.
pub(super) enum Reach {
    /// The sessions of all users.
    All,
    /// The caller's own sessions.
    Own(UserId),
}

impl Reach {
    /// Returns what the caller reaches. People reach their own sessions; administrators of the
    /// instance reach all. Tokens reach none: a stolen token must not reveal where its owner is
    /// signed in.
    pub(super) fn of(ctx: &OpContext) -> Result<Self, ServiceError> {
        match &ctx.actor {
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
            Actor::Restricted(_) => Err(ServiceError::PasswordChangeRequired),
            Actor::Token(_) => {
                Err(ServiceError::Forbidden("Only signed-in people can manage sessions."))
            }
            Actor::Operator => Ok(Self::All),
            Actor::User(visitor) if visitor.is_instance_admin() => Ok(Self::All),
            Actor::User(visitor) => Ok(Self::Own(visitor.user.id)),
        }
    }

    /// Returns the user with this id or address, if the caller reaches their sessions.
    pub(super) async fn user(
        &self,
        connection: &mut PgConnection,
        text: &str,
    ) -> Result<UserId, ServiceError> {
        let id = match (text.trim().parse::<UserId>(), WrittenEmail::read(text)) {
            (Ok(id), _) => users::record(connection, id).await?.map(|user| user.summary.id),
            (_, Some(email)) => {
                users::by_email(connection, &email).await?.map(|user| user.summary.id)
            }
            _ => None,
        };
        id.filter(|id| matches!(self, Self::All) || matches!(self, Self::Own(own) if own == id))
            .ok_or(ServiceError::NotFound("user"))
    }

    /// Returns the only user whose sessions the caller reaches; `None` means all users.
    const fn only(&self) -> Option<UserId> {
        match self {
            Self::All => None,
            Self::Own(user) => Some(*user),
        }
    }
}

impl Sessions<'_> {
    /// Returns a page of active sessions, newest first.
    ///
    /// # Errors
    /// `Invalid` with the fields `limit`, `cursor`; `NotFound` for a user whose sessions the caller
    /// does not reach.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "list",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list(
        &self,
        ctx: &OpContext,
        query: &SessionQuery,
    ) -> Result<Page<Session>, ServiceError> {
        let reach = Reach::of(ctx)?;
        if query.limit == 0 || query.limit > SESSIONS_LIMIT_MAX {
            let message = format!("must be 1 to {SESSIONS_LIMIT_MAX}");
            return Err(ServiceError::invalid("limit", message));
        }
        // Ids are in chronological order, so the last id of a page is the cursor of the next one.
        let before = cursor::position::<SessionId>(query.cursor.as_deref())
            .map_err(|error| ServiceError::Invalid(vec![error]))?;
        let mut connection = self.inner.connection().await?;
        let user = match query.user.as_deref() {
            Some(text) => Some(reach.user(&mut connection, text).await?),
            None => reach.only(),
        };
        // One more row shows whether there is a next page.
        let filter = Filter { user, before, id: None, rows: i64::from(query.limit) + 1 };
        let rows = self.live(&mut connection, ctx, &filter).await?;
        Ok(cursor::page(rows, query.limit, |session| session.id.to_string()))
    }

    /// Returns one session.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "show",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show(&self, ctx: &OpContext, id: SessionId) -> Result<Session, ServiceError> {
        let reach = Reach::of(ctx)?;
        let mut connection = self.inner.connection().await?;
        let filter = Filter { user: reach.only(), before: None, id: Some(id), rows: 1 };
        let session = self.live(&mut connection, ctx, &filter).await?.pop();
        session.ok_or(ServiceError::NotFound("session"))
    }

    async fn live(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        filter: &Filter,
    ) -> Result<Vec<Session>, ServiceError> {
        let idle_since = ctx.now - self.inner.settings.session_idle;
        let mut sessions = store::page(connection, filter, ctx.now, idle_since).await?;
        for session in &mut sessions {
            session.current = ctx.session == Some(session.id);
        }
        Ok(sessions)
    }
}
