//! Create a workspace.

use domain::{
    audit_action::AuditAction,
    ids::WorkspaceId,
    names::{DisplayName, Slug},
    problem::FieldError,
    roles::WorkspaceRole,
    workspace::Workspace,
};

use super::Workspaces;
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::Change,
    store::{members, workspaces as store},
};

/// A workspace to create.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// The name in URLs. Defaults to one derived from the display name.
    pub slug: Option<String>,
    /// The display name.
    pub name: String,
}

impl Workspaces<'_> {
    /// Creates a workspace. A person who creates one becomes its administrator.
    ///
    /// # Errors
    /// `Invalid` with the fields `name`, `slug`; `AlreadyExists` if the slug is in use.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "create",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn create(
        &self,
        ctx: &OpContext,
        workspace: NewWorkspace,
    ) -> Result<Workspace, ServiceError> {
        ctx.manages_instance()?;
        let mut errors = Vec::new();
        let name: Option<DisplayName> = match workspace.name.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                errors.push(FieldError::new("name", error));
                None
            }
        };
        let slug = match (&workspace.slug, &name) {
            (Some(text), _) => text.parse::<Slug>().map_err(|error| error.to_string()),
            (None, Some(name)) => Slug::suggested_by(name.as_ref())
                .ok_or_else(|| "cannot be derived from this name: provide one".to_owned()),
            (None, None) => return Err(ServiceError::Invalid(errors)),
        };
        let slug = slug.map_err(|message| errors.push(FieldError::new("slug", message))).ok();
        let (Some(name), Some(slug)) = (name, slug) else {
            return Err(ServiceError::Invalid(errors));
        };
        let id = WorkspaceId(self.inner.uuid(ctx.now));
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        store::insert(&mut transaction, id, &slug, &name, ctx.now).await.map_err(|error| {
            if error.violates("workspaces_slug_unique") {
                ServiceError::AlreadyExists(FieldError::new(
                    "slug",
                    "is in use by another workspace",
                ))
            } else {
                error.into()
            }
        })?;
        if let Some(user) = ctx.user_id() {
            let role = WorkspaceRole::Admin;
            members::insert(&mut transaction, id, user, role, None, ctx.now).await?;
        }
        let change = Change {
            workspace: Some(id),
            action: AuditAction::WorkspaceCreate,
            subject_id: Some(id.0),
            subject_name: slug.as_ref(),
            before: None,
            after: Some(serde_json::json!({ "slug": slug, "name": name })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(Workspace { id, slug, name, created_at: ctx.now, version: 1 })
    }
}
