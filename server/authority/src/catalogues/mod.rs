//! Audiences and their scopes.
//!
//! All authenticated callers can read them (`show`); callers who manage the instance can change
//! them. Every change works on the whole [`arrangement`] of an audience, which is pure, and is
//! written by [`change`]: one place locks, compares versions, computes implied scopes and notifies
//! the replicas.

mod arrangement;
mod audiences;
mod change;
pub mod file;
mod load;
pub mod openapi;
mod pins;
mod scopes;
mod show;

pub use audiences::{AudienceChange, NewAudience};
pub use load::LoadOptions;
pub use scopes::{NewScope, Retired, ScopeChange};

use domain::catalogue::{Catalogue, TESSERA_AUDIENCE};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    OpContext, ServiceError,
    state::Inner,
    transaction::Transaction,
    work::{Heavy, Kind},
};

/// The catalogues that a new instance starts with.
const SEEDS: [&str; 2] =
    [include_str!("../../catalogues/default.toml"), include_str!("../../catalogues/tessera.toml")];

/// The operations on audiences and their scopes.
#[derive(Clone, Copy)]
pub struct Catalogues<'a> {
    pub(crate) inner: &'a Inner,
}

impl Catalogues<'_> {
    /// Parses and checks a catalogue in TOML on the worker threads, for callers who may load it.
    ///
    /// # Errors
    /// `Forbidden`; `Busy`. The inner error says what is wrong with the text.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "read_toml",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn read_toml(
        &self,
        ctx: &OpContext,
        text: String,
    ) -> Result<Result<Catalogue, file::FileError>, ServiceError> {
        ctx.manages_instance()?;
        let read = move |_: &Heavy| file::parse_toml(&text);
        // Only administrators of the instance load catalogues, so there is no tenant to be fair to.
        self.inner.work.run(Kind::Document, Uuid::nil(), read).await
    }

    /// Creates the catalogues of a new instance if they don't exist yet. A catalogue that an
    /// operator loaded under the same name stays. Tessera's own catalogue is updated to this build.
    pub(crate) async fn seed(
        &self,
        connection: &mut Transaction<'_>,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        for seed in SEEDS {
            let catalogue = file::parse_toml(seed).map_err(ServiceError::internal)?;
            let own = catalogue.audience.as_ref() == TESSERA_AUDIENCE;
            let open = change::Open::any(connection, &catalogue.audience).await?;
            if open.is_none() || own {
                // A scope that a later build removed is no longer granted. Tokens that hold it keep
                // only its name.
                let options = LoadOptions { retire: true, ..LoadOptions::default() };
                self.replace(connection, open, &catalogue, options, now).await?;
            }
        }
        Ok(())
    }
}
