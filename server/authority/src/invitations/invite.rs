//! Invite a person by e-mail.

use domain::{
    audit_action::AuditAction,
    grants::GrantPattern,
    ids::{InvitationId, TokenId, UserId},
    names::Email,
    problem::FieldError,
    roles::WorkspaceRole,
    workspace::Invitation,
};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use crate::{
    Actor, OpContext, ServiceError,
    access::Access,
    audit::record,
    invitations::{LIFETIME, OPEN_INVITATIONS_MAX},
    kernel::{Change, Tenant, limits::INVITATIONS_PER_HOUR},
    store::{
        invitations::{self as store, NewInvitation},
        members, users,
    },
};

/// How long closed invitations are kept. They count against the inviter's limit for an hour.
const KEPT: Duration = Duration::days(30);
const HOUR: Duration = Duration::hours(1);

/// Invites an address to a workspace. The caller has authorised the invitation and checked its role
/// and grants, and holds locks on the workspace's row and the end of its chain, so that the
/// inviter's row, which other transactions need, is locked last.
///
/// Nothing here depends on whether a user of the instance has the address, unless that user is a
/// member, whom the caller sees in the list of members anyway.
pub(crate) async fn invite(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    id: InvitationId,
    (user, role, grants): (&str, WorkspaceRole, Option<&[GrantPattern]>),
) -> Result<Invitation, ServiceError> {
    let email = address(user)?;
    let inviter = ctx.user_id().ok_or(ServiceError::Unauthenticated)?;
    let tenant = access.tenant();
    let (token, token_end) = match &ctx.actor {
        Actor::Token(facts) => (Some(facts.token_id), facts.expires_at),
        _ => (None, None),
    };
    if token.is_none() {
        users::lock(connection, inviter).await?;
    }
    if members::has_address(connection, tenant, &email).await? {
        return Err(ServiceError::AlreadyExists(FieldError::new("user", "is already a member")));
    }
    store::remove_before(connection, tenant, ctx.now - KEPT).await?;
    let replaced = store::close(connection, tenant, email.as_ref(), ctx.now).await?;
    if store::count(connection, tenant, ctx.now).await? >= OPEN_INVITATIONS_MAX {
        return Err(ServiceError::InvitationLimitReached(OPEN_INVITATIONS_MAX));
    }
    check_rate(connection, tenant, (token, inviter), ctx.now).await?;
    let end = ctx.now + LIFETIME;
    let new = NewInvitation {
        id,
        email: &email,
        role,
        grants,
        invited_by: inviter,
        token,
        // An invitation expires together with the token that sent it.
        expires_at: token_end.map_or(end, |token_end| token_end.min(end)),
    };
    store::insert(connection, tenant, &new, ctx.now).await?;
    let made = store::of_workspace(connection, tenant, Some(id), ctx.now).await?;
    let invitation = made
        .into_iter()
        .next()
        .ok_or_else(|| ServiceError::internal("the new invitation was not found"))?;
    let change = Change {
        workspace: Some(access.workspace.id),
        action: AuditAction::InvitationCreate,
        subject_id: Some(id.0),
        subject_name: &invitation.email,
        before: replaced.map(|replaced| serde_json::json!({ "invitation": replaced })),
        after: Some(serde_json::json!({ "role": role, "grants": invitation.grants })),
    };
    record(connection, ctx, change).await?;
    Ok(invitation)
}

/// Returns the address to invite. An id is refused, because the result would show whether the
/// instance has such a user.
fn address(text: &str) -> Result<Email, ServiceError> {
    if text.trim().parse::<UserId>().is_ok() {
        let message = "must be an e-mail address: only instance administrators can add users by id";
        return Err(ServiceError::invalid("user", message));
    }
    text.parse::<Email>().map_err(|error| ServiceError::invalid("user", error))
}

/// Checks the limit of the inviting person or, for invitations by tokens, that of their workspace.
async fn check_rate(
    connection: &mut PgConnection,
    tenant: Tenant,
    (token, inviter): (Option<TokenId>, UserId),
    now: OffsetDateTime,
) -> Result<(), ServiceError> {
    let since = now - HOUR;
    let (sent, first) = match token {
        Some(_) => store::sent_by_tokens_since(connection, tenant, since).await?,
        None => store::sent_since(connection, inviter, since).await?,
    };
    if sent < INVITATIONS_PER_HOUR {
        return Ok(());
    }
    let wait = first.map_or(HOUR, |first| first + HOUR - now);
    let wait_s = u64::try_from(wait.whole_seconds()).unwrap_or(0) + 1;
    Err(ServiceError::TooManyInvitations { by_tokens: token.is_some(), wait_s })
}
