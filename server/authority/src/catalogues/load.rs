//! Load a catalogue: the audience then has just these scopes.

use std::collections::BTreeMap;

use domain::{
    catalogue::{Catalogue, Scope},
    ids::AudienceId,
    problem::FieldError,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Catalogues;
use crate::{
    OpContext, ServiceError,
    audit::{Change, record},
    store::{audit::insert_revision, catalogues as store},
};

/// What loading a catalogue changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadedCatalogue {
    /// Scopes that are new.
    pub added: usize,
    /// Scopes that are described, grouped or implied otherwise than before.
    pub changed: usize,
    /// Scopes that are gone.
    pub removed: usize,
}

impl Catalogues<'_> {
    /// Makes or replaces the catalogue of an audience.
    ///
    /// # Errors
    /// `Invalid` with the field `groups` when the parts do not fit together, or when a scope that is
    /// missing is held by tokens: it would be taken from them without a word.
    pub async fn load(
        &self,
        ctx: &OpContext,
        catalogue: Catalogue,
    ) -> Result<LoadedCatalogue, ServiceError> {
        ctx.manages_instance()?;
        catalogue.check().map_err(|error| ServiceError::invalid("groups", error))?;
        if catalogue.audience.as_ref() == domain::catalogue::TESSERA_AUDIENCE {
            return Err(ServiceError::invalid(
                "audience",
                "tessera is Tessera's own: its scopes come with the program",
            ));
        }
        let mut transaction = self.inner.begin().await?;
        let (audience, loaded) = self.replace(&mut transaction, &catalogue, ctx.now).await?;
        let change = Change {
            workspace: None,
            action: "catalogue.load",
            subject_id: Some(audience.0),
            subject_name: catalogue.audience.as_ref(),
            before: None,
            after: Some(serde_json::json!({
                "added": loaded.added, "changed": loaded.changed, "removed": loaded.removed,
            })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(loaded)
    }

    pub(super) async fn replace(
        &self,
        connection: &mut PgConnection,
        catalogue: &Catalogue,
        now: OffsetDateTime,
    ) -> Result<(AudienceId, LoadedCatalogue), ServiceError> {
        let stored = store::by_slug(connection, &catalogue.audience).await?;
        let new_id = AudienceId(self.inner.uuid(now));
        let audience = store::upsert_audience(connection, new_id, catalogue, now).await?;
        let before: BTreeMap<String, Scope> = stored
            .iter()
            .flat_map(|stored| stored.catalogue.scopes())
            .map(|scope| (scope.name.to_string(), scope.clone()))
            .collect();
        let removed: Vec<String> = before
            .keys()
            .filter(|name| catalogue.scopes().all(|scope| scope.name.as_ref() != name.as_str()))
            .cloned()
            .collect();
        let held = store::holders(connection, audience, &removed).await?;
        if !held.is_empty() {
            let errors = held.into_iter().map(|(scope, holders)| {
                FieldError::new("groups", format!("lacks {scope}, which {holders} tokens hold"))
            });
            return Err(ServiceError::Invalid(errors.collect()));
        }
        store::delete_scopes(connection, audience, &removed).await?;
        let mut loaded = LoadedCatalogue { removed: removed.len(), ..LoadedCatalogue::default() };
        let mut position = 0;
        for group in &catalogue.groups {
            for scope in &group.scopes {
                match before.get(scope.name.as_ref()) {
                    None => loaded.added += 1,
                    Some(old) if old != scope => loaded.changed += 1,
                    Some(_) => {}
                }
                store::upsert_scope(connection, audience, catalogue, group, scope, position)
                    .await?;
                position += 1;
            }
        }
        // What a scope implies may have become less.
        if loaded.removed + loaded.changed > 0 {
            insert_revision(connection, "catalogue", audience.0, now).await?;
        }
        Ok((audience, loaded))
    }
}
