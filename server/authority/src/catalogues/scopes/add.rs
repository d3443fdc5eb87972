//! Add a scope to an audience.

use domain::{
    audit_action::AuditAction,
    catalogue::{Risk, Scope, ScopeEntry, ScopeName},
    names::{AudienceSlug, Description, DisplayName},
    problem::FieldError,
};

use crate::{
    OpContext, ServiceError,
    catalogues::{
        Catalogues,
        change::{Open, parse, parse_names, parse_some},
    },
    store::catalogues::StoredScope,
};

/// A scope to add.
#[derive(Clone, Debug, Default)]
pub struct NewScope {
    /// The name, or a URI pattern.
    pub name: String,
    /// The access that it gives.
    pub description: String,
    /// The risk.
    pub risk: Risk,
    /// Scopes of the audience that it implies.
    pub implies: Vec<String>,
    /// The group. A group that doesn't exist is created.
    pub group: String,
    /// The description of the group; `None` leaves it as it is.
    pub group_description: Option<String>,
    /// The position within the group; `None` puts it last.
    pub position: Option<usize>,
}

impl Catalogues<'_> {
    /// Adds a scope. Returns it with the audience's new version.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `PreconditionFailed`; `Invalid` with the fields of [`NewScope`];
    /// `AlreadyExists`, also if a retired scope has this name.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "add_scope",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn add_scope(
        &self,
        ctx: &OpContext,
        audience: &AudienceSlug,
        new: NewScope,
        expected: Option<i64>,
    ) -> Result<(ScopeEntry, i64), ServiceError> {
        ctx.manages_instance()?;
        let mut errors = Vec::new();
        let name = parse::<ScopeName>(&mut errors, "name", &new.name);
        let description = parse::<Description>(&mut errors, "description", &new.description);
        let implies = parse_names(&mut errors, "implies", &new.implies);
        let group = parse::<DisplayName>(&mut errors, "group", &new.group);
        let group_description = new.group_description.as_deref();
        let group_description =
            parse_some::<Description>(&mut errors, "group_description", group_description);
        let (Some(name), Some(description), Some(group), true) =
            (name, description, group, errors.is_empty())
        else {
            return Err(ServiceError::Invalid(errors));
        };
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let mut open = Open::of(&mut transaction, audience, expected).await?;
        if open.scopes.get(&name).is_some() {
            let error = FieldError::new("name", "is the name of another scope of this audience");
            return Err(ServiceError::AlreadyExists(error));
        }
        let before = open.scopes.clone();
        let mut after = before.clone();
        let known = || before.group_description(&group).cloned();
        let stored = StoredScope {
            scope: Scope { name: name.clone(), description, risk: new.risk, implies },
            group_description: group_description.or_else(known).unwrap_or_default(),
            group,
            retired_at: None,
        };
        after.put(stored, new.position);
        after.check()?;
        let version = open.save(&mut transaction, after, ctx.now).await?;
        open.record(&mut transaction, ctx, AuditAction::ScopeCreate, &name, &before).await?;
        transaction.commit().await?;
        Ok((open.scopes.entry(&name)?, version))
    }
}
