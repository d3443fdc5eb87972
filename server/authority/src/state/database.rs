//! Checks of the schema and of the keys.

use sqlx::PgConnection;

use crate::{
    ServiceError,
    state::{Authority, Inner},
    store::{self, MIGRATIONS, instance::has_these_keys},
};

impl Authority {
    /// Returns how many migrations of this build the database lacks.
    pub async fn pending_migrations(&self) -> Result<usize, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let applied = store::applied_migrations(&mut connection).await?;
        Ok(MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count())
    }

    /// Refuses keys that did not produce the data in the database: with other keys, every token and
    /// every count would silently be lost.
    ///
    /// # Errors
    ///
    /// `Internal` when the keys are different; its text may be shown to the operator.
    pub async fn check_keys(&self) -> Result<(), ServiceError> {
        let mut connection = self.inner.connection().await?;
        self.inner.check_keys(&mut connection).await
    }

    /// Resolves when this server finds that its keys are not those of the database. Returns the
    /// error of [`Self::check_keys`].
    pub async fn other_keys(&self) -> ServiceError {
        let mut found = self.inner.replica.other_keys.subscribe();
        // The sender lives as long as `self`.
        let _ = found.wait_for(|found| *found).await;
        ServiceError::internal(OTHER_KEYS)
    }
}

/// The error for keys that are not those of the database.
pub(crate) const OTHER_KEYS: &str = "the keys file does not match this database: restore keys.toml from a backup, or copy it from another server of this instance";

impl Inner {
    pub(crate) async fn check_keys(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), ServiceError> {
        match has_these_keys(connection, &self.keys).await? {
            Some(false) => Err(ServiceError::internal(OTHER_KEYS)),
            _ => Ok(()),
        }
    }
}
