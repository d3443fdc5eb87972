//! Applies a preset: a policy and the audiences that it needs, in one step.

use domain::{
    access::Permission,
    catalogue::{Catalogue, Scope, ScopeGroup},
    policy_view::{PolicyPreview, PolicyView},
    preset::{Preset, PresetAudience},
};
use sqlx::PgConnection;

use crate::{
    Catalogues, LoadOptions, OpContext, ServiceError,
    policies::{Policies, PolicyLevel, open},
    store::catalogues,
};

impl Policies<'_> {
    /// Returns what applying a preset would change. Changes nothing.
    #[tracing::instrument(skip_all, fields(
        noun = "policies", verb = "preview_preset",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn preview_preset(
        &self,
        ctx: &OpContext,
        level: &PolicyLevel,
        preset: Preset,
    ) -> Result<PolicyPreview, ServiceError> {
        let mut preview = self.preview(ctx, level, &preset.rules()).await?;
        let mut connection = self.inner.connection().await?;
        let missing = missing(&mut connection, preset).await?;
        preview.audiences = missing.into_iter().map(|catalogue| catalogue.audience).collect();
        Ok(preview)
    }

    /// Replaces all rules that the level sets by the preset's, and creates the audiences that it
    /// needs and that don't exist.
    ///
    /// # Errors
    ///
    /// `PreconditionFailed` as for a change; `Forbidden` when audiences are missing and the caller
    /// may not create them.
    #[tracing::instrument(skip_all, fields(
        noun = "policies", verb = "apply_preset",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn apply_preset(
        &self,
        ctx: &OpContext,
        level: &PolicyLevel,
        preset: Preset,
        expected: Option<i64>,
    ) -> Result<PolicyView, ServiceError> {
        let missing = {
            let mut connection = self.inner.connection().await?;
            let opened = open(&mut connection, ctx, level, Permission::PolicyWrite).await?;
            if expected.is_some_and(|expected| expected != opened.own().version) {
                return Err(ServiceError::PreconditionFailed);
            }
            missing(&mut connection, preset).await?
        };
        if !missing.is_empty() && ctx.manages_instance().is_err() {
            return Err(ServiceError::Forbidden(
                "This preset needs audiences that don't exist yet. Ask an instance administrator to create them.",
            ));
        }
        for catalogue in missing {
            Catalogues { inner: self.inner }.load(ctx, catalogue, LoadOptions::default()).await?;
        }
        self.change(ctx, level, preset.rules(), expected).await
    }
}

/// Returns the catalogues of the preset's audiences that don't exist yet.
async fn missing(
    connection: &mut PgConnection,
    preset: Preset,
) -> Result<Vec<Catalogue>, ServiceError> {
    if preset.audiences().is_empty() {
        return Ok(Vec::new());
    }
    let known = catalogues::all(connection).await?;
    preset
        .audiences()
        .iter()
        .filter(|wanted| {
            known.iter().all(|stored| stored.catalogue.audience.as_ref() != wanted.slug)
        })
        .map(catalogue)
        .collect()
}

fn catalogue(audience: &PresetAudience) -> Result<Catalogue, ServiceError> {
    let scopes = audience.scopes.iter().map(|(name, description, risk)| {
        Ok(Scope {
            name: name.parse().map_err(ServiceError::internal)?,
            description: description.parse().map_err(ServiceError::internal)?,
            risk: *risk,
            implies: Vec::new(),
        })
    });
    Ok(Catalogue {
        audience: audience.slug.parse().map_err(ServiceError::internal)?,
        name: audience.name.parse().map_err(ServiceError::internal)?,
        description: audience.description.parse().map_err(ServiceError::internal)?,
        groups: vec![ScopeGroup {
            name: "Tables and levels".parse().map_err(ServiceError::internal)?,
            description: domain::names::Description::default(),
            scopes: scopes.collect::<Result<_, ServiceError>>()?,
        }],
    })
}
