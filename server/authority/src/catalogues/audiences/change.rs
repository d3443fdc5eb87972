//! Change the name and the description of an audience. Its slug cannot change, because APIs use it
//! in requests.

use domain::{
    audit_action::AuditAction,
    catalogue::Audience,
    names::{AudienceSlug, Description, DisplayName},
};

use crate::{
    OpContext, ServiceError,
    audit::record,
    catalogues::{
        Catalogues,
        change::{Open, parse_some},
        show,
    },
    kernel::Change,
    store::catalogues as store,
};

/// The values to change; `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct AudienceChange {
    /// The display name.
    pub name: Option<String>,
    /// The description of the API.
    pub description: Option<String>,
}

impl Catalogues<'_> {
    /// Changes an audience's name and description.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `PreconditionFailed`; `Invalid` with the fields of
    /// [`AudienceChange`].
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "change_audience",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn change_audience(
        &self,
        ctx: &OpContext,
        slug: &AudienceSlug,
        change: AudienceChange,
        expected: Option<i64>,
    ) -> Result<Audience, ServiceError> {
        ctx.manages_instance()?;
        let mut errors = Vec::new();
        let name = parse_some::<DisplayName>(&mut errors, "name", change.name.as_deref());
        let description =
            parse_some::<Description>(&mut errors, "description", change.description.as_deref());
        if !errors.is_empty() {
            return Err(ServiceError::Invalid(errors));
        }
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let Open { mut audience, scopes, .. } = Open::of(&mut transaction, slug, expected).await?;
        let before = show::snapshot(&audience);
        audience.name = name.unwrap_or(audience.name);
        audience.description = description.unwrap_or(audience.description);
        let after = show::snapshot(&audience);
        if before != after {
            audience.version += 1;
            audience.updated_at = ctx.now;
            store::update_audience(&mut transaction, &audience).await?;
            let change = Change {
                workspace: None,
                action: AuditAction::AudienceUpdate,
                subject_id: Some(audience.id.0),
                subject_name: slug.as_ref(),
                before: Some(before),
                after: Some(after),
            };
            record(&mut transaction, ctx, change).await?;
        }
        transaction.commit().await?;
        Ok(show::audience(&audience, scopes.scopes().to_vec()))
    }
}
