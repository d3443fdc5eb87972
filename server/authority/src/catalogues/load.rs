//! Load a catalogue: the audience then has exactly these scopes.

use std::collections::BTreeSet;

use domain::{
    audit_action::AuditAction,
    catalogue::{Catalogue, CatalogueChanges, ScopeName, ScopeUses, TESSERA_AUDIENCE},
    ids::AudienceId,
    names::AudienceSlug,
    problem::FieldError,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Catalogues, arrangement::Arrangement, change::Open};
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::Change,
    store::catalogues::{self as store, StoredAudience},
    transaction::Transaction,
};

/// Options for loading a catalogue.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Only report what would change.
    pub dry_run: bool,
    /// Retire missing scopes that tokens hold, instead of refusing the catalogue.
    pub retire: bool,
    /// The version that the audience must have.
    pub expected: Option<i64>,
}

impl Catalogues<'_> {
    /// Creates or replaces the catalogue of an audience. Missing scopes are deleted. Missing scopes
    /// that tokens hold are retired if the options say so.
    ///
    /// # Errors
    /// `Invalid` with the field `groups` if the parts are inconsistent, or if tokens hold a missing
    /// scope, because they would lose it without notice. `PreconditionFailed`.
    #[tracing::instrument(skip_all, fields(
        noun = "catalogues", verb = "load",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn load(
        &self,
        ctx: &OpContext,
        catalogue: Catalogue,
        options: LoadOptions,
    ) -> Result<CatalogueChanges, ServiceError> {
        ctx.manages_instance()?;
        catalogue.check().map_err(|error| ServiceError::invalid("groups", error))?;
        if catalogue.audience.as_ref() == TESSERA_AUDIENCE {
            return Err(ServiceError::invalid(
                "audience",
                "must not be tessera: its scopes are built in",
            ));
        }
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let open = find(&mut transaction, &catalogue.audience, options.expected).await?;
        let (open, changes) =
            self.replace(&mut transaction, open, &catalogue, options, ctx.now).await?;
        if options.dry_run {
            transaction.rollback().await?;
            return Ok(changes);
        }
        let mut after = serde_json::json!({
            "added": changes.added, "changed": changes.changed,
            "retired": changes.retired, "removed": changes.removed,
            "tokens_concerned": changes.uses.count,
        });
        if !open.pinned.is_empty() {
            after["grants_pinned"] = open.pinned.into();
        }
        let change = Change {
            workspace: None,
            action: AuditAction::CatalogueLoad,
            subject_id: Some(open.audience.id.0),
            subject_name: catalogue.audience.as_ref(),
            before: None,
            after: Some(after),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(changes)
    }

    /// Replaces the scopes of an audience that is locked, or that doesn't exist yet.
    pub(super) async fn replace(
        &self,
        connection: &mut Transaction<'_>,
        open: Option<Open>,
        catalogue: &Catalogue,
        options: LoadOptions,
        now: OffsetDateTime,
    ) -> Result<(Open, CatalogueChanges), ServiceError> {
        let version = open.as_ref().map_or(0, |open| open.audience.version);
        let new = open.is_none();
        let mut open = match open {
            Some(open) => open,
            None => self.make(connection, catalogue, now).await?,
        };
        let before = open.scopes.clone();
        let missing = missing(connection, &open, catalogue).await?;
        if !missing.is_empty() && !options.retire && !options.dry_run {
            let errors = missing.iter().map(|(name, uses)| {
                let message =
                    format!("lacks {name}, which is in use; tokens that hold it: {}", uses.count);
                FieldError::new("groups", message)
            });
            return Err(ServiceError::Invalid(errors.collect()));
        }
        let mut after = Arrangement::of_catalogue(catalogue);
        after.keep_retired(&before, now, |name| missing.iter().any(|(held, _)| held == name));
        let uses = open.losers(connection, &after).await?;
        let mut changes = compare(catalogue, &before, &after);
        changes.uses = uses;
        changes.dry_run = options.dry_run;
        changes.version = version;
        let renamed = open.audience.name != catalogue.name
            || open.audience.description != catalogue.description;
        if new || before != after || renamed {
            open.audience.name.clone_from(&catalogue.name);
            open.audience.description.clone_from(&catalogue.description);
            // Saving increments the version. A new audience gets version 1.
            open.audience.version = version;
            open.save(connection, after, now).await?;
        }
        if !options.dry_run {
            changes.version = open.audience.version;
        }
        Ok((open, changes))
    }

    async fn make(
        &self,
        connection: &mut PgConnection,
        catalogue: &Catalogue,
        now: OffsetDateTime,
    ) -> Result<Open, ServiceError> {
        let audience = StoredAudience {
            id: AudienceId(self.inner.uuid(now)),
            slug: catalogue.audience.clone(),
            name: catalogue.name.clone(),
            description: catalogue.description.clone(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        if store::insert_audience(connection, &audience).await? {
            let scopes = Arrangement::default();
            return Ok(Open { audience, scopes, pinned: Vec::new() });
        }
        // Another server created it at the same moment.
        Open::any(connection, &catalogue.audience).await?.ok_or(ServiceError::PreconditionFailed)
    }
}

/// Locks the audience, if it exists.
async fn find(
    connection: &mut PgConnection,
    slug: &AudienceSlug,
    expected: Option<i64>,
) -> Result<Option<Open>, ServiceError> {
    match Open::of(connection, slug, expected).await {
        Ok(open) => Ok(Some(open)),
        Err(ServiceError::NotFound(_)) if expected.is_none() => Ok(None),
        Err(ServiceError::NotFound(_)) => Err(ServiceError::PreconditionFailed),
        Err(error) => Err(error),
    }
}

/// Returns the scopes in use that the catalogue lacks and tokens hold, with these tokens.
async fn missing(
    connection: &mut PgConnection,
    open: &Open,
    catalogue: &Catalogue,
) -> Result<Vec<(ScopeName, ScopeUses)>, ServiceError> {
    let kept: BTreeSet<&ScopeName> = catalogue.scopes().map(|scope| &scope.name).collect();
    let held = open.held(connection).await?;
    let mut missing = Vec::new();
    for stored in open.scopes.scopes().iter().filter(|stored| stored.retired_at.is_none()) {
        let name = &stored.scope.name;
        if !kept.contains(name) && held.iter().any(|held| open.scopes.belongs(held, name)) {
            missing.push((name.clone(), open.holders_of(connection, name).await?));
        }
    }
    Ok(missing)
}

fn compare(catalogue: &Catalogue, before: &Arrangement, after: &Arrangement) -> CatalogueChanges {
    let names = |wanted: &dyn Fn(&ScopeName) -> bool, arrangement: &Arrangement| {
        let names = arrangement.scopes().iter().map(|stored| &stored.scope.name);
        names.filter(|name| wanted(name)).cloned().collect::<Vec<_>>()
    };
    let active = |arrangement: &Arrangement, name: &ScopeName| {
        arrangement.get(name).is_some_and(|stored| stored.retired_at.is_none())
    };
    CatalogueChanges {
        audience: catalogue.audience.clone(),
        dry_run: false,
        version: 0,
        added: names(&|name| active(after, name) && !active(before, name), after),
        changed: names(
            &|name| {
                active(after, name) && active(before, name) && before.get(name) != after.get(name)
            },
            after,
        ),
        retired: names(
            &|name| active(before, name) && after.get(name).is_some() && !active(after, name),
            before,
        ),
        removed: names(&|name| after.get(name).is_none(), before),
        uses: ScopeUses::default(),
    }
}
