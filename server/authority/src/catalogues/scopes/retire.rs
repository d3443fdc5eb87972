//! Retire a scope: it is no longer granted, and new tokens cannot get it. Its name
//! remains reserved.

use domain::{
    audit_action::AuditAction,
    catalogue::{ScopeEntry, ScopeName, ScopeUses},
    names::AudienceSlug,
};

use crate::{
    OpContext, ServiceError,
    catalogues::{Catalogues, change::Open},
    kernel::Subject,
};

/// The effect of retiring a scope.
#[derive(Clone, Debug)]
pub struct Retired {
    /// The scope in its new state.
    pub scope: ScopeEntry,
    /// The audience's version.
    pub version: i64,
    /// The tokens that lose rights: they hold the scope, a part of its pattern, or a scope that
    /// implies it.
    pub uses: ScopeUses,
}

impl Catalogues<'_> {
    /// Retires a scope or, with `dry_run`, only reports the tokens that use it.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `PreconditionFailed`.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "retire_scope",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn retire_scope(
        &self,
        ctx: &OpContext,
        audience: &AudienceSlug,
        name: &ScopeName,
        dry_run: bool,
        expected: Option<i64>,
    ) -> Result<Retired, ServiceError> {
        ctx.manages_instance()?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let mut open = Open::of(&mut transaction, audience, expected).await?;
        let before = open.scopes.clone();
        let stored = before.get(name).ok_or(ServiceError::NotFound("scope"))?;
        let mut after = before.clone();
        after.retire(name, stored.retired_at.or(Some(ctx.now)));
        let uses = open.losers(&mut transaction, &after).await?;
        if !dry_run && after != before {
            open.save(&mut transaction, after, ctx.now).await?;
            open.record(&mut transaction, ctx, AuditAction::ScopeRetire, name, &before).await?;
            transaction.commit().await?;
        } else if !dry_run {
            transaction.already_so(Subject::Catalogue(open.audience.id.0));
            transaction.commit().await?;
        }
        Ok(Retired { scope: open.scopes.entry(name)?, version: open.audience.version, uses })
    }

    /// Takes a retired scope into use again. The tokens that hold it have it again at once. Returns
    /// the scope with the audience's version.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `PreconditionFailed`.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "unretire_scope",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn unretire_scope(
        &self,
        ctx: &OpContext,
        audience: &AudienceSlug,
        name: &ScopeName,
        expected: Option<i64>,
    ) -> Result<(ScopeEntry, i64), ServiceError> {
        ctx.manages_instance()?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let mut open = Open::of(&mut transaction, audience, expected).await?;
        let before = open.scopes.clone();
        before.get(name).ok_or(ServiceError::NotFound("scope"))?;
        let mut after = before.clone();
        after.retire(name, None);
        if after != before {
            open.save(&mut transaction, after, ctx.now).await?;
            open.record(&mut transaction, ctx, AuditAction::ScopeUnretire, name, &before).await?;
        }
        transaction.commit().await?;
        Ok((open.scopes.entry(name)?, open.audience.version))
    }
}
