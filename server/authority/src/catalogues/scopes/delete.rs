//! Delete a scope that no token holds.

use domain::{audit_action::AuditAction, catalogue::ScopeName, names::AudienceSlug};

use crate::{
    OpContext, ServiceError,
    catalogues::{Catalogues, change::Open},
};

impl Catalogues<'_> {
    /// Deletes a scope permanently.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `PreconditionFailed`; `InUse` if tokens hold it or a part of its
    /// pattern, or if another scope implies it.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "delete_scope",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn delete_scope(
        &self,
        ctx: &OpContext,
        audience: &AudienceSlug,
        name: &ScopeName,
        expected: Option<i64>,
    ) -> Result<(), ServiceError> {
        ctx.manages_instance()?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let mut open = Open::of(&mut transaction, audience, expected).await?;
        let before = open.scopes.clone();
        before.get(name).ok_or(ServiceError::NotFound("scope"))?;
        let in_use = |what: String| {
            ServiceError::InUse(format!("The scope {name} cannot be deleted: {what}."))
        };
        if let Some(implying) = before.implying(name) {
            return Err(in_use(format!("{implying} implies it")));
        }
        match open.holders_of(&mut transaction, name).await?.count {
            0 => {}
            1 => return Err(in_use("1 token holds it; retire it instead".into())),
            count => return Err(in_use(format!("{count} tokens hold it; retire it instead"))),
        }
        let mut after = before.clone();
        after.remove(name);
        open.save(&mut transaction, after, ctx.now).await?;
        open.record(&mut transaction, ctx, AuditAction::ScopeDelete, name, &before).await?;
        transaction.commit().await?;
        Ok(())
    }
}
