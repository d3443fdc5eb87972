//! Change a scope. Its name cannot change, because tokens hold it.

use domain::{
    audit_action::AuditAction,
    catalogue::{Risk, ScopeEntry, ScopeName},
    names::{AudienceSlug, Description, DisplayName},
};

use crate::{
    OpContext, ServiceError,
    catalogues::{
        Catalogues,
        change::{Open, parse_names, parse_some},
    },
};

/// The values to change; `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct ScopeChange {
    /// The access that it gives.
    pub description: Option<String>,
    /// The risk.
    pub risk: Option<Risk>,
    /// Scopes of the audience that it implies. They replace the present ones.
    pub implies: Option<Vec<String>>,
    /// The group. A group that doesn't exist is created.
    pub group: Option<String>,
    /// The description of the group.
    pub group_description: Option<String>,
    /// The position within the group.
    pub position: Option<usize>,
}

impl Catalogues<'_> {
    /// Changes a scope. The rights of the tokens that hold it change at once. Returns the scope
    /// with the audience's version.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `PreconditionFailed`; `Invalid` with the fields of [`ScopeChange`].
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "change_scope",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn change_scope(
        &self,
        ctx: &OpContext,
        audience: &AudienceSlug,
        name: &ScopeName,
        change: ScopeChange,
        expected: Option<i64>,
    ) -> Result<(ScopeEntry, i64), ServiceError> {
        ctx.manages_instance()?;
        let mut errors = Vec::new();
        let description =
            parse_some::<Description>(&mut errors, "description", change.description.as_deref());
        let implies = change.implies.map(|texts| parse_names(&mut errors, "implies", &texts));
        let group = parse_some::<DisplayName>(&mut errors, "group", change.group.as_deref());
        let group_description = change.group_description.as_deref();
        let group_description =
            parse_some::<Description>(&mut errors, "group_description", group_description);
        if !errors.is_empty() {
            return Err(ServiceError::Invalid(errors));
        }
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let mut open = Open::of(&mut transaction, audience, expected).await?;
        let before = open.scopes.clone();
        let mut stored = before.get(name).cloned().ok_or(ServiceError::NotFound("scope"))?;
        if let Some(group) = group.filter(|group| *group != stored.group) {
            stored.group_description =
                before.group_description(&group).cloned().unwrap_or_default();
            stored.group = group;
        }
        stored.group_description = group_description.unwrap_or(stored.group_description);
        stored.scope.description = description.unwrap_or(stored.scope.description);
        stored.scope.risk = change.risk.unwrap_or(stored.scope.risk);
        stored.scope.implies = implies.unwrap_or(stored.scope.implies);
        let mut after = before.clone();
        after.put(stored, change.position);
        after.check()?;
        if after != before {
            open.save(&mut transaction, after, ctx.now).await?;
            open.record(&mut transaction, ctx, AuditAction::ScopeUpdate, name, &before).await?;
        }
        transaction.commit().await?;
        Ok((open.scopes.entry(name)?, open.audience.version))
    }
}
