//! See audiences and their scopes. Whoever is known may: a scope's name is no secret.

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
    /// Every catalogue: `default` first and `tessera` last, the others by name. Retired scopes are
    /// left out.
    pub async fn list(&self, ctx: &OpContext) -> Result<Vec<Catalogue>, ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        let stored = store::all(&mut connection).await?;
        Ok(stored.into_iter().map(|stored| stored.catalogue).collect())
    }

    /// Every audience with its version, in the order of [`Catalogues::list`].
    pub async fn audiences(&self, ctx: &OpContext) -> Result<Vec<Audience>, ServiceError> {
        ctx.authenticated()?;
        // One transaction, so that versions and scopes belong together.
        let mut transaction = self.inner.begin().await?;
        let audiences = store::audiences(&mut transaction).await?;
        let mut shown = Vec::with_capacity(audiences.len());
        for stored in audiences {
            let scopes = store::scopes(&mut transaction, stored.id).await?;
            shown.push(audience(&stored, scopes));
        }
        Ok(shown)
    }

    /// One audience.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn show(
        &self,
        ctx: &OpContext,
        slug: &AudienceSlug,
    ) -> Result<Audience, ServiceError> {
        let (stored, scopes) = self.read(ctx, slug).await?;
        Ok(audience(&stored, scopes))
    }

    /// All scopes of an audience, retired ones among them, and the audience's version.
    ///
    /// # Errors
    /// `NotFound`.
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
        // The version first: a change in between makes it too low, and a change that is based on
        // it is then refused.
        let audience = store::audience(&mut connection, slug)
            .await?
            .ok_or(ServiceError::NotFound("audience"))?;
        let scopes = store::scopes(&mut connection, audience.id).await?;
        Ok((audience, scopes))
    }
}

/// An audience as it is shown.
pub(super) fn audience(stored: &StoredAudience, scopes: Vec<StoredScope>) -> Audience {
    Audience {
        catalogue: StoredCatalogue::of(stored, scopes).catalogue,
        version: stored.version,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    }
}

/// An audience as an audit row keeps it.
pub(super) fn snapshot(audience: &StoredAudience) -> Value {
    json!({
        "audience": audience.slug,
        "name": audience.name,
        "description": audience.description,
    })
}
