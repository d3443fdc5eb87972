//! Audiences and their scopes.

pub mod file;
mod load;

pub use load::LoadedCatalogue;

use domain::catalogue::Catalogue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{OpContext, ServiceError, authority::Inner, store::catalogues as store};

/// The catalogues that a new instance starts with.
const SEEDS: [&str; 2] =
    [include_str!("../../catalogues/default.toml"), include_str!("../../catalogues/tessera.toml")];

/// Audiences and their scopes.
#[derive(Clone, Copy)]
pub struct Catalogues<'a> {
    pub(crate) inner: &'a Inner,
}

impl Catalogues<'_> {
    /// Every catalogue: `default` first and `tessera` last, the others by name. Whoever is known may
    /// see them: a scope's name is no secret.
    pub async fn list(&self, ctx: &OpContext) -> Result<Vec<Catalogue>, ServiceError> {
        ctx.authenticated()?;
        let mut connection = self.inner.connection().await?;
        let stored = store::all(&mut connection).await?;
        Ok(stored.into_iter().map(|stored| stored.catalogue).collect())
    }

    /// Puts the catalogues of a new instance where there are none yet. What an operator loaded
    /// under the same name stays; Tessera's own is kept up with this build.
    pub(crate) async fn seed(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        for seed in SEEDS {
            let catalogue = file::parse_toml(seed).map_err(ServiceError::internal)?;
            let own = catalogue.audience.as_ref() == domain::catalogue::TESSERA_AUDIENCE;
            let stored = store::by_slug(connection, &catalogue.audience).await?;
            if stored.is_none_or(|stored| own && stored.catalogue != catalogue) {
                self.replace(connection, &catalogue, now).await?;
            }
        }
        Ok(())
    }
}
