//! Accept an invitation.

use domain::{
    audit_action::AuditAction, ids::InvitationId, problem::FieldError, workspace::Invitation,
};

use super::Invitations;
use crate::{
    OpContext, ServiceError, access,
    audit::{hold_end, record},
    kernel::{Change, Subject},
    store::{invitations as store, members, users, workspaces},
    tokens::{By, joining::disable_before_joining, known::Wider},
};

impl Invitations<'_> {
    /// Makes the signed-in person a member of the workspace that invited them.
    ///
    /// # Errors
    /// `NotFound` for an invitation that is not theirs or no longer open; `AlreadyExists` for
    /// a member.
    #[tracing::instrument(skip_all, fields(
        noun = "invitations", verb = "accept",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn accept(
        &self,
        ctx: &OpContext,
        id: InvitationId,
    ) -> Result<Invitation, ServiceError> {
        let wider = self.disable_before_accepting(ctx, id).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let (tenant, user, _) = access::authorise_addressee(&mut transaction, ctx, id).await?;
        workspaces::lock(&mut transaction, tenant).await?;
        hold_end(&mut transaction, ctx, tenant.id()).await?;
        // Check before taking locks that other tenants need, because the search may take long.
        wider.check(&mut transaction, ctx.now).await?;
        members::hold_meaning(&mut transaction).await?;
        users::lock(&mut transaction, user).await?;
        // Members change under the lock of the workspace, so what the inviter may grant is read
        // under it. The meaning of the grants is locked, too.
        let (_, _, invitation) = access::authorise_addressee(&mut transaction, ctx, id).await?;
        let found = users::by_id(&mut transaction, user).await?;
        if !found.is_some_and(|user| user.enabled) {
            return Err(ServiceError::Unauthenticated);
        }
        if !store::accept(&mut transaction, tenant, id, ctx.now).await? {
            return Err(ServiceError::NotFound("invitation"));
        }
        let (role, grants) = (invitation.role, invitation.grants.as_deref());
        members::insert(&mut transaction, tenant.id(), user, role, grants, ctx.now).await.map_err(
            |error| {
                if error.violates("memberships_pkey") {
                    let message = "is for a workspace that you are already a member of";
                    ServiceError::AlreadyExists(FieldError::new("invitation", message))
                } else {
                    error.into()
                }
            },
        )?;
        transaction.affects(Subject::Membership(user), AuditAction::InvitationAccept);
        let change = Change {
            workspace: Some(tenant.id()),
            action: AuditAction::InvitationAccept,
            subject_id: Some(user.0),
            subject_name: &invitation.email,
            before: None,
            after: Some(serde_json::json!({
                "role": role, "grants": invitation.grants, "invited_by": invitation.invited_by.email,
            })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(invitation)
    }

    /// Disables tokens from an earlier membership if their secrets may be known to people who could
    /// not grant as much.
    async fn disable_before_accepting(
        &self,
        ctx: &OpContext,
        id: InvitationId,
    ) -> Result<Wider, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let (tenant, user, invitation) =
            access::authorise_addressee(&mut connection, ctx, id).await?;
        drop(connection);
        let place = (invitation.role, invitation.grants.as_deref());
        // The person did not request this stop, and may not undo it unless their new role
        // allows that.
        let by = By { user: None, ..By::of(ctx) };
        disable_before_joining(self.inner, (&by, ctx), (user, tenant.id()), place).await
    }
}
