//! Delete an audience that is not in use.

use domain::{audit_action::AuditAction, names::AudienceSlug};

use crate::{
    OpContext, ServiceError,
    audit::record,
    catalogues::{Catalogues, change::Open, show},
    kernel::{Change, Subject},
    store::{catalogues as store, scope_uses},
};

impl Catalogues<'_> {
    /// Deletes an audience with its retired scopes.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `PreconditionFailed`; `InUse` if tokens are meant for it or it has
    /// scopes in use.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "delete_audience",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn delete_audience(
        &self,
        ctx: &OpContext,
        slug: &AudienceSlug,
        expected: Option<i64>,
    ) -> Result<(), ServiceError> {
        ctx.manages_instance()?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let Open { audience, scopes, .. } = Open::of(&mut transaction, slug, expected).await?;
        let in_use = |what: String| {
            ServiceError::InUse(format!("The audience {slug} cannot be deleted: {what}."))
        };
        match scope_uses::tokens_of_audience(&mut transaction, audience.id).await? {
            0 => {}
            1 => return Err(in_use("1 token uses it".into())),
            count => return Err(in_use(format!("{count} tokens use it"))),
        }
        let active = scopes.scopes().iter().filter(|stored| stored.retired_at.is_none()).count();
        if active > 0 {
            return Err(in_use(format!(
                "{active} of its scopes are not retired; retire or delete them first"
            )));
        }
        store::delete_audience(&mut transaction, audience.id).await.map_err(|error| {
            // A token was created for it at the same moment.
            if error.violates("token_audiences_audience_id_fkey") {
                in_use("a token uses it".into())
            } else {
                error.into()
            }
        })?;
        transaction.affects(Subject::Catalogue(audience.id.0), AuditAction::AudienceDelete);
        let change = Change {
            workspace: None,
            action: AuditAction::AudienceDelete,
            subject_id: Some(audience.id.0),
            subject_name: slug.as_ref(),
            before: Some(show::snapshot(&audience)),
            after: None,
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(())
    }
}
