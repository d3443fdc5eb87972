//! Create an audience without scopes.

use domain::{
    audit_action::AuditAction,
    catalogue::Audience,
    ids::AudienceId,
    names::{AudienceSlug, Description, DisplayName},
    problem::FieldError,
};

use crate::{
    OpContext, ServiceError,
    audit::record,
    catalogues::{Catalogues, change::parse, show},
    kernel::Change,
    store::catalogues::{self as store, StoredAudience},
};

/// An audience to create.
#[derive(Clone, Debug, Default)]
pub struct NewAudience {
    /// The slug, which is its name in requests.
    pub slug: String,
    /// The display name.
    pub name: String,
    /// The description of the API.
    pub description: String,
}

impl Catalogues<'_> {
    /// Creates an audience. Its scopes are added or loaded afterwards.
    ///
    /// # Errors
    /// `Forbidden` for callers who do not manage the instance; `Invalid` with the fields of
    /// [`NewAudience`]; `AlreadyExists`.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "create_audience",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn create_audience(
        &self,
        ctx: &OpContext,
        new: NewAudience,
    ) -> Result<Audience, ServiceError> {
        ctx.manages_instance()?;
        let mut errors = Vec::new();
        let slug = parse::<AudienceSlug>(&mut errors, "audience", &new.slug);
        let name = parse::<DisplayName>(&mut errors, "name", &new.name);
        let description = parse::<Description>(&mut errors, "description", &new.description);
        let (Some(slug), Some(name), Some(description)) = (slug, name, description) else {
            return Err(ServiceError::Invalid(errors));
        };
        let id = AudienceId(self.inner.uuid(ctx.now));
        let audience = StoredAudience {
            id,
            slug,
            name,
            description,
            version: 1,
            created_at: ctx.now,
            updated_at: ctx.now,
        };
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        if !store::insert_audience(&mut transaction, &audience).await? {
            let error = FieldError::new("audience", "is the name of another audience");
            return Err(ServiceError::AlreadyExists(error));
        }
        let change = Change {
            workspace: None,
            action: AuditAction::AudienceCreate,
            subject_id: Some(id.0),
            subject_name: audience.slug.as_ref(),
            before: None,
            after: Some(show::snapshot(&audience)),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(show::audience(&audience, Vec::new()))
    }
}
