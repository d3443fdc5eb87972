//! End sessions: a single one, or all sessions of a user.

use domain::{
    audit_action::AuditAction,
    ids::{SessionId, UserId},
    roles::InstanceRole,
};
use sqlx::PgConnection;

use super::{Sessions, list::Reach};
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::Change,
    store::{sessions as store, users},
};

impl Sessions<'_> {
    /// Ends a session: its cookie is no longer accepted.
    ///
    /// # Errors
    /// `NotFound` for a session that the caller does not reach; `Forbidden` for an owner's session
    /// if the caller is not an owner.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "end",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn end(&self, ctx: &OpContext, id: SessionId) -> Result<(), ServiceError> {
        let session = self.show(ctx, id).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[session.user.id.0]).await?;
        let ctx = &ctx;
        check_target(&mut transaction, ctx, session.user.id).await?;
        if ctx.session == Some(id) {
            transaction.changes_person(session.user.id).await?;
        }
        if !store::end(&mut transaction, id).await? {
            return Err(ServiceError::NotFound("session"));
        }
        note(&mut transaction, ctx, session.user.id, &session.user.email, 1).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends all sessions of a user, by default the caller's own, except the session of this
    /// request. Returns how many it ended.
    ///
    /// # Errors
    /// `Invalid` with the field `user` if the command line names none; `NotFound` for a user whose
    /// sessions the caller does not reach; `Forbidden` for an owner's sessions if the caller is not
    /// an owner.
    #[tracing::instrument(skip_all, fields(
        noun = "sessions", verb = "end_all",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn end_all(&self, ctx: &OpContext, user: Option<&str>) -> Result<u64, ServiceError> {
        let reach = Reach::of(ctx)?;
        let text = match (user, ctx.user_id()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(own)) => own.to_string(),
            (None, None) => return Err(ServiceError::invalid("user", "is missing")),
        };
        let user = reach.user(&mut *self.inner.connection().await?, &text).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[user.0]).await?;
        let ctx = &ctx;
        check_target(&mut transaction, ctx, user).await?;
        let ended = store::end_others(&mut transaction, user, ctx.session).await?;
        if ended > 0 {
            note(&mut transaction, ctx, user, &text, ended).await?;
        }
        transaction.commit().await?;
        Ok(ended)
    }
}

/// Allows only owners to end the sessions of another owner. Otherwise an administrator could lock
/// owners out.
async fn check_target(
    connection: &mut PgConnection,
    ctx: &OpContext,
    user: UserId,
) -> Result<(), ServiceError> {
    if ctx.user_id() == Some(user) || ctx.owns_instance() {
        return Ok(());
    }
    let target = users::by_id(connection, user).await?;
    if target.is_some_and(|target| target.instance_role == InstanceRole::Owner) {
        return Err(ServiceError::Forbidden("Only instance owners can end an owner's sessions."));
    }
    Ok(())
}

async fn note(
    connection: &mut PgConnection,
    ctx: &OpContext,
    user: UserId,
    name: &str,
    sessions: u64,
) -> Result<(), ServiceError> {
    let change = Change {
        workspace: None,
        action: AuditAction::SessionEnd,
        subject_id: Some(user.0),
        subject_name: name,
        before: Some(serde_json::json!({"sessions": sessions})),
        after: None,
    };
    record(connection, ctx, change).await?;
    Ok(())
}
