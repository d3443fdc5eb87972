//! The one-time link that sets a password: 256 random bits, 24 hours, gone once used.

use domain::{
    audit_action::AuditAction, ids::UserId, roles::UserKind, token::UserSummary, user::User,
};
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use crate::{
    OpContext, ServiceError,
    access::{check_owner, locked, manages_one},
    audit::record,
    kernel::Change,
    passwords::Passwords,
    secret::PasswordLinkSecret,
    state::Inner,
    store::passwords as store,
};

const LIFETIME: Duration = Duration::hours(24);

/// A link that sets a password, once.
#[derive(Debug)]
pub struct PasswordLink {
    /// The person whose password it sets.
    pub user: UserSummary,
    /// The secret part of the link. It leaves the server once.
    pub secret: PasswordLinkSecret,
    /// When the link expires.
    pub expires_at: OffsetDateTime,
}

impl Passwords<'_> {
    /// Creates a link with which a person sets a new password. It replaces an older link. Until it
    /// is used, nothing else changes: the present password and the sessions still work.
    ///
    /// # Errors
    /// `NotFound` for callers who do not manage users; `Forbidden` for an owner's password if the
    /// caller is not an owner, and for the caller's own; `Invalid` with the field `user` for a
    /// service account or a disabled user.
    #[tracing::instrument(skip_all, fields(
        noun = "passwords", verb = "issue_link",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn issue_link(
        &self,
        ctx: &OpContext,
        user: UserId,
    ) -> Result<PasswordLink, ServiceError> {
        manages_one(ctx)?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let user = locked(&mut transaction, user).await?;
        if ctx.user_id() == Some(user.summary.id) {
            return Err(ServiceError::Forbidden(
                "To change your own password, use your current password in the console or with POST /api/v1/account/password.",
            ));
        }
        let link = issue(self.inner, &mut transaction, ctx, &user).await?;
        transaction.commit().await?;
        Ok(link)
    }
}

/// Creates a link within the transaction of a caller who manages users.
pub(crate) async fn issue(
    inner: &Inner,
    connection: &mut PgConnection,
    ctx: &OpContext,
    user: &User,
) -> Result<PasswordLink, ServiceError> {
    if user.kind == UserKind::Service {
        let message = "is a service account, which has no password";
        return Err(ServiceError::invalid("user", message));
    }
    check_owner(ctx, &[user.instance_role])?;
    if !user.enabled {
        return Err(ServiceError::invalid("user", "is disabled; enable it first"));
    }
    let secret = PasswordLinkSecret::generate(inner.entropy.as_ref());
    let expires_at = ctx.now + LIFETIME;
    let id = user.summary.id;
    store::replace_link(connection, id, &secret.digest(), ctx.user_id(), expires_at).await?;
    let change = Change {
        workspace: None,
        action: AuditAction::UserPasswordLink,
        subject_id: Some(id.0),
        subject_name: &user.summary.email,
        before: None,
        after: Some(json!({"expires_at": expires_at.unix_timestamp()})),
    };
    record(connection, ctx, change).await?;
    Ok(PasswordLink { user: user.summary.clone(), secret, expires_at })
}
