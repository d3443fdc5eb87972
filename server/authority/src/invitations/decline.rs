//! Decline an invitation.

use domain::{audit_action::AuditAction, ids::InvitationId};

use super::Invitations;
use crate::{
    OpContext, ServiceError, access, audit::record, kernel::Change, store::invitations as store,
};

impl Invitations<'_> {
    /// Declines an invitation of the signed-in person. The workspace sees it as open until it
    /// expires, and the audit row is in the instance's log. Otherwise a declined invitation would
    /// show the workspace that a user has this address.
    ///
    /// # Errors
    /// `NotFound` for an invitation that is not theirs or no longer open.
    #[tracing::instrument(skip_all, fields(
        noun = "invitations", verb = "decline",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn decline(&self, ctx: &OpContext, id: InvitationId) -> Result<(), ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let (tenant, _, invitation) =
            access::authorise_addressee(&mut transaction, ctx, id).await?;
        if !store::decline(&mut transaction, tenant, id, ctx.now).await? {
            return Err(ServiceError::NotFound("invitation"));
        }
        let change = Change {
            workspace: None,
            action: AuditAction::InvitationDecline,
            subject_id: Some(id.0),
            subject_name: &invitation.email,
            before: Some(serde_json::json!({
                "workspace": invitation.workspace, "role": invitation.role,
            })),
            after: None,
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(())
    }
}
