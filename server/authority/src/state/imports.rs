//! Whether tokens of other systems were imported.

use std::sync::atomic::Ordering;

use crate::{
    ServiceError,
    state::{Authority, Inner},
    store::imports,
};

/// The maximum length, in bytes, of a text without the form of a token that is looked up.
const FOREIGN_MAX: usize = 1_024;

impl Inner {
    /// Returns whether a text without the form of a token may still be a token.
    pub(crate) fn may_be_imported(&self, presented: &str) -> bool {
        self.imports.load(Ordering::Relaxed) && (1..=FOREIGN_MAX).contains(&presented.len())
    }
}

impl Authority {
    /// Checks whether there are imported tokens. Once true, it stays true.
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "learn_imports"))]
    pub(crate) async fn learn_imports(&self) -> Result<(), ServiceError> {
        if self.inner.imports.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut connection = self.inner.connection().await?;
        let exist = imports::exist(&mut connection).await?;
        self.inner.imports.store(exist, Ordering::Relaxed);
        Ok(())
    }
}
