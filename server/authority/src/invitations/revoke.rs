//! Revoke an invitation.

use domain::{access::Permission, audit_action::AuditAction, ids::InvitationId, names::Slug};

use super::Invitations;
use crate::{
    OpContext, ServiceError, access,
    audit::{hold_end, record},
    kernel::Change,
    store::invitations as store,
};

impl Invitations<'_> {
    /// Revokes an invitation of a workspace, so that it can no longer be accepted.
    ///
    /// # Errors
    /// `NotFound` for an invitation of another workspace, or one that was accepted or has expired.
    #[tracing::instrument(skip_all, fields(
        noun = "invitations", verb = "revoke",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn revoke(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        id: InvitationId,
    ) -> Result<(), ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::MembersWrite).await?;
        let tenant = access.tenant();
        // Lock the chain first: a change of a catalogue waits for the invitation, and other tenants
        // wait for that change.
        hold_end(&mut transaction, ctx, tenant.id()).await?;
        let found = store::of_workspace(&mut transaction, tenant, Some(id), ctx.now).await?;
        let invitation = found.into_iter().next().ok_or(ServiceError::NotFound("invitation"))?;
        if !store::revoke(&mut transaction, tenant, id, ctx.now).await? {
            return Err(ServiceError::NotFound("invitation"));
        }
        let change = Change {
            workspace: Some(access.workspace.id),
            action: AuditAction::InvitationRevoke,
            subject_id: Some(id.0),
            subject_name: &invitation.email,
            before: Some(serde_json::json!({
                "role": invitation.role, "grants": invitation.grants,
            })),
            after: None,
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(())
    }
}
