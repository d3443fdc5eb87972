//! Rename a workspace. Its slug cannot change, because links and programs use it.

use domain::{
    access::Permission,
    audit_action::AuditAction,
    names::{DisplayName, Slug},
    workspace::WorkspaceOverview,
};

use crate::{
    OpContext, ServiceError, access, audit::record, kernel::Change, store::workspaces as store,
    workspaces::Workspaces,
};

impl Workspaces<'_> {
    /// Changes the display name of a workspace.
    ///
    /// # Errors
    /// `Invalid` with the field `name`; `PreconditionFailed`.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "rename",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn rename(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        name: &str,
        expected: Option<i64>,
    ) -> Result<WorkspaceOverview, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::WorkspaceWrite).await?;
        let name: DisplayName =
            name.parse().map_err(|error| ServiceError::invalid("name", error))?;
        store::lock(&mut transaction, access.tenant()).await?;
        let version = store::version(&mut transaction, access.tenant()).await?;
        if expected.is_some_and(|expected| expected != version) {
            return Err(ServiceError::PreconditionFailed);
        }
        if name == access.workspace.name && version == access.workspace.version {
            transaction.rollback().await?;
            return self.show(ctx, slug).await;
        }
        store::rename(&mut transaction, access.tenant(), &name, ctx.now).await?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: AuditAction::WorkspaceRename,
            subject_id: Some(access.workspace.id.0),
            subject_name: slug.as_ref(),
            before: Some(serde_json::json!({ "name": access.workspace.name })),
            after: Some(serde_json::json!({ "name": name })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        self.show(ctx, slug).await
    }
}
