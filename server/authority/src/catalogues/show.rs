//! Read audiences and their scopes. All authenticated callers may: the names of scopes are
//! not secret.

use domain::{
    catalogue::{Audience, Catalogue, ScopeEntry},
    names::AudienceSlug,
};
use serde_json::{Value, json};

use super::{Catalogues, arrangement::Arrangement};
use crate::{
    OpContext, ServiceError,
    store::catalogues::{self as store, StoredAudience, StoredCatalogue, StoredScope},
};

impl Catalogues<'_> {
    /// Returns all catalogues without retired scopes: `default` first, `tessera` last, and the
    /// others sorted by name.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "list",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list(&self, ctx: &OpContext) -> Result<Vec<Catalogue>, ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        let stored = store::all(&mut connection).await?;
        Ok(stored.into_iter().map(|stored| stored.catalogue).collect())
    }

    /// Returns all audiences with their versions, in the order of [`Catalogues::list`].
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "audiences",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn audiences(&self, ctx: &OpContext) -> Result<Vec<Audience>, ServiceError> {
        ctx.authenticated()?;
        // One transaction, so that versions and scopes are consistent.
        let mut transaction = self.inner.begin().await?;
        let audiences = store::audiences(&mut transaction).await?;
        let mut shown = Vec::with_capacity(audiences.len());
        for stored in audiences {
            let scopes = store::scopes(&mut transaction, stored.id).await?;
            shown.push(audience(&stored, scopes));
        }
        Ok(shown)
    }

    /// Returns one audience.
    ///
    /// # Errors
    /// `NotFound`.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "show",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show(
        &self,
        ctx: &OpContext,
        slug: &AudienceSlug,
    ) -> Result<Audience, ServiceError> {
        let (stored, scopes) = self.read(ctx, slug).await?;
        Ok(audience(&stored, scopes))
    }

    /// Returns all scopes of an audience, including retired ones, and the audience's version.
    ///
    /// # Errors
    /// `NotFound`.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "scopes",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn scopes(
        &self,
        ctx: &OpContext,
        slug: &AudienceSlug,
    ) -> Result<(Vec<ScopeEntry>, i64), ServiceError> {
        let (audience, scopes) = self.read(ctx, slug).await?;
        Ok((Arrangement::of(scopes).entries(), audience.version))
    }

    async fn read(
        &self,
        ctx: &OpContext,
        slug: &AudienceSlug,
    ) -> Result<(StoredAudience, Vec<StoredScope>), ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        // Read the version first. If the audience changes in between, the returned version is too
        // low, and a change based on it is refused.
        let audience = store::audience(&mut connection, slug)
            .await?
            .ok_or(ServiceError::NotFound("audience"))?;
        let scopes = store::scopes(&mut connection, audience.id).await?;
        Ok((audience, scopes))
    }
}

/// Returns an audience as it is shown.
pub(super) fn audience(stored: &StoredAudience, scopes: Vec<StoredScope>) -> Audience {
    Audience {
        catalogue: StoredCatalogue::of(stored, scopes).catalogue,
        version: stored.version,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    }
}

/// Returns an audience as an audit row stores it.
pub(super) fn snapshot(audience: &StoredAudience) -> Value {
    json!({
        "audience": audience.slug,
        "name": audience.name,
        "description": audience.description,
    })
}
