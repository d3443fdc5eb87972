//! The members of a workspace.

use domain::{
    access::Permission,
    catalogue::TESSERA_AUDIENCE,
    grants::{GRANTS_MAX, GrantPattern},
    ids::UserId,
    names::Slug,
    problem::FieldError,
    roles::WorkspaceRole,
    workspace::Member,
};

use crate::{
    OpContext, ServiceError,
    access::{self, Access, excess},
    kernel::Actor,
    store::{
        catalogues::{self, StoredCatalogue},
        members as store,
    },
    workspaces::Workspaces,
};

impl Workspaces<'_> {
    /// Returns the members of a workspace, sorted by name, including disabled ones.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "members",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn members(&self, ctx: &OpContext, slug: &Slug) -> Result<Vec<Member>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access = access::authorise(&mut connection, ctx, slug, Permission::MembersRead).await?;
        Ok(store::list(&mut connection, access.tenant(), None).await?)
    }

    /// Returns one member.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "member",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn member(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        user: UserId,
    ) -> Result<Member, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access = access::authorise(&mut connection, ctx, slug, Permission::MembersRead).await?;
        one(&mut connection, &access, user).await
    }
}

pub(crate) async fn one(
    connection: &mut sqlx::PgConnection,
    access: &Access,
    user: UserId,
) -> Result<Member, ServiceError> {
    let found = store::list(connection, access.tenant(), Some(user)).await?;
    found.into_iter().next().ok_or(ServiceError::NotFound("member"))
}

/// Parses the patterns of a membership.
pub(crate) fn parse_grants(
    grants: Option<&[String]>,
) -> Result<Option<Vec<GrantPattern>>, ServiceError> {
    let Some(texts) = grants else { return Ok(None) };
    if texts.len() > GRANTS_MAX {
        let message = format!("must have at most {GRANTS_MAX} patterns");
        return Err(ServiceError::invalid("grants", message));
    }
    let (mut patterns, mut errors) = (Vec::new(), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => errors.push(FieldError::new(format!("grants[{index}]"), error)),
        }
    }
    if !errors.is_empty() {
        return Err(ServiceError::Invalid(errors));
    }
    patterns.sort();
    patterns.dedup();
    Ok(Some(patterns))
}

/// Refuses a pattern without an audience that means scopes of both `tessera` and another audience,
/// because it would be unclear which ones are meant. `*` means all.
pub(crate) fn check_said(
    grants: Option<&[GrantPattern]>,
    catalogues: &[StoredCatalogue],
) -> Result<(), ServiceError> {
    let mut errors = Vec::new();
    for (index, pattern) in grants.into_iter().flatten().enumerate() {
        if let Some(other) = also_of_another(pattern, catalogues) {
            let message = format!(
                "matches scopes of both {TESSERA_AUDIENCE} and {other}: write {TESSERA_AUDIENCE}/{pattern} or {other}/{pattern}"
            );
            errors.push(FieldError::new(format!("grants[{index}]"), message));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(errors)) }
}

/// Returns an audience whose scopes a pattern without an audience means in addition to those
/// of `tessera`.
fn also_of_another<'a>(
    pattern: &GrantPattern,
    catalogues: &'a [StoredCatalogue],
) -> Option<&'a str> {
    if pattern.audience().is_some() || pattern.is_all() {
        return None;
    }
    let (own, others): (Vec<_>, Vec<_>) = catalogues
        .iter()
        .map(|stored| &stored.catalogue)
        .filter(|catalogue| {
            catalogue.scopes().any(|scope| pattern.covers(&catalogue.audience, &scope.name))
        })
        .map(|catalogue| catalogue.audience.as_ref())
        .partition(|slug| *slug == TESSERA_AUDIENCE);
    others.first().copied().filter(|_| !own.is_empty())
}

/// A member's grant that means scopes of both `tessera` and another audience. Version 0.1 had no
/// way to say which one is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmbiguousGrant {
    /// The workspace.
    pub workspace: String,
    /// The member's address.
    pub user: String,
    /// The pattern.
    pub pattern: GrantPattern,
    /// The other audience.
    pub audience: String,
}

impl Workspaces<'_> {
    /// Returns the grants that mean scopes of both `tessera` and another audience.
    ///
    /// # Errors
    /// `Forbidden` for callers who do not manage the instance.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "ambiguous_grants",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn ambiguous_grants(
        &self,
        ctx: &OpContext,
    ) -> Result<Vec<AmbiguousGrant>, ServiceError> {
        ctx.manages_instance()?;
        let mut connection = self.inner.connection().await?;
        let catalogues = catalogues::all(&mut connection).await?;
        let mut found = Vec::new();
        for member in store::flat_grants(&mut connection).await? {
            for pattern in &member.grants {
                if let Some(audience) = also_of_another(pattern, &catalogues) {
                    found.push(AmbiguousGrant {
                        workspace: member.slug.clone(),
                        user: member.email.clone(),
                        pattern: pattern.clone(),
                        audience: audience.to_owned(),
                    });
                }
            }
        }
        Ok(found)
    }
}

/// Refuses a membership that exceeds what the caller holds: a role with permissions that they lack,
/// or scopes that they may not put on tokens themselves.
pub(crate) fn check_within(
    ctx: &OpContext,
    access: &Access,
    role: WorkspaceRole,
    grants: Option<&[GrantPattern]>,
) -> Result<(), ServiceError> {
    let excess = excess(access.permissions, &access.grants, role, grants);
    let by_token = matches!(ctx.actor, Actor::Token(_));
    let mut errors = Vec::new();
    if excess.role {
        let message = format!("must not be {role}: this role may do more than the caller");
        errors.push(FieldError::new("role", message));
    }
    if excess.grants {
        let message = match (grants, by_token) {
            (None, true) => {
                "are required: without them, the role grants more scopes than the calling token holds"
            }
            (Some(_), true) => "must not go beyond the scopes of the calling token",
            (_, false) => "must not go beyond the scopes that you may grant yourself",
        };
        errors.push(FieldError::new("grants", message));
    }
    if errors.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(errors)) }
}
