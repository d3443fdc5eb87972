//! Shared steps of all changes to an audience: lock it, compare its version, write all of its
//! scopes, and notify the replicas if tokens may lose rights.

use domain::{
    audit_action::AuditAction,
    catalogue::{ScopeName, ScopeUses, TESSERA_AUDIENCE},
    names::AudienceSlug,
    problem::FieldError,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::arrangement::Arrangement;
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::{Change, Subject},
    store::{
        catalogues::{self as store, StoredAudience},
        scope_uses,
    },
    tokens::read_before_change,
    transaction::Transaction,
};

/// An audience that is being changed. It is locked against other changes.
pub(super) struct Open {
    pub(super) audience: StoredAudience,
    pub(super) scopes: Arrangement,
    /// The grants to which saving added the audiences that they mean, for the audit log.
    pub(super) pinned: Vec<serde_json::Value>,
}

impl Open {
    /// Locks an audience for a change.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` for Tessera's own audience; `PreconditionFailed` if it is no longer
    /// at the expected version.
    pub(super) async fn of(
        connection: &mut PgConnection,
        slug: &AudienceSlug,
        expected: Option<i64>,
    ) -> Result<Self, ServiceError> {
        let open = Self::any(connection, slug).await?.ok_or(ServiceError::NotFound("audience"))?;
        if slug.as_ref() == TESSERA_AUDIENCE {
            return Err(ServiceError::Forbidden(
                "The audience tessera can't be changed. Its scopes are built in.",
            ));
        }
        if expected.is_some_and(|expected| expected != open.audience.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        Ok(open)
    }

    /// Locks any audience for a change, including Tessera's own. Returns `None` if it
    /// doesn't exist.
    pub(super) async fn any(
        connection: &mut PgConnection,
        slug: &AudienceSlug,
    ) -> Result<Option<Self>, ServiceError> {
        let Some(audience) = store::lock_audience(connection, slug).await? else { return Ok(None) };
        let scopes = Arrangement::of(store::scopes(connection, audience.id).await?);
        Ok(Some(Self { audience, scopes, pinned: Vec::new() }))
    }

    /// Writes the audience with the scopes of `after`. Returns the new version.
    pub(super) async fn save(
        &mut self,
        connection: &mut Transaction<'_>,
        after: Arrangement,
        now: OffsetDateTime,
    ) -> Result<i64, ServiceError> {
        let id = self.audience.id;
        // First convert the tokens that 0.1 servers wrote: they mean what the catalogues say before
        // this change.
        read_before_change(connection, now).await?;
        self.pinned = self.pin_grants(connection, &after).await?;
        let gone = self
            .scopes
            .scopes()
            .iter()
            .map(|stored| &stored.scope.name)
            .filter(|name| after.get(name).is_none())
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        store::delete_scopes(connection, id, &gone).await?;
        store::write_scopes(connection, id, &after.with_implied()).await?;
        if self.scopes.grants_otherwise(&after) {
            connection.narrows(Subject::Catalogue(id.0));
        } else {
            if self.scopes.grows(&after) {
                connection.widens(Subject::Catalogue(id.0));
            }
            connection.already_so(Subject::Catalogue(id.0));
        }
        self.audience.version += 1;
        self.audience.updated_at = now;
        store::update_audience(connection, &self.audience).await?;
        self.scopes = after;
        Ok(self.audience.version)
    }

    /// Returns the tokens that lose rights in `after`.
    pub(super) async fn losers(
        &self,
        connection: &mut PgConnection,
        after: &Arrangement,
    ) -> Result<ScopeUses, ServiceError> {
        let (before, after) = (self.scopes.grants(), after.grants());
        let held = self.held(connection).await?;
        let lost: Vec<_> = held.iter().filter(|held| before.lost(&after, held)).collect();
        self.holders(connection, &lost).await
    }

    /// Returns the tokens that hold this scope, or a part of it that is not also a part of
    /// another scope.
    pub(super) async fn holders_of(
        &self,
        connection: &mut PgConnection,
        name: &ScopeName,
    ) -> Result<ScopeUses, ServiceError> {
        let held = self.held(connection).await?;
        let held: Vec<_> = held.iter().filter(|held| self.scopes.belongs(held, name)).collect();
        self.holders(connection, &held).await
    }

    /// Returns what tokens hold of this audience: its scopes and parts of its patterns.
    pub(super) async fn held(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<ScopeName>, ServiceError> {
        let names = self.scopes.scopes().iter().map(|stored| &stored.scope.name);
        let uris = names.clone().any(ScopeName::is_uri);
        let names: Vec<String> = names.map(ToString::to_string).collect();
        Ok(scope_uses::held(connection, self.audience.id, &names, uris).await?)
    }

    async fn holders(
        &self,
        connection: &mut PgConnection,
        held: &[&ScopeName],
    ) -> Result<ScopeUses, ServiceError> {
        let held: Vec<String> = held.iter().map(ToString::to_string).collect();
        Ok(scope_uses::holders(connection, self.audience.id, &held).await?)
    }

    /// Writes the audit row of a change of one scope.
    pub(super) async fn record(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        action: AuditAction,
        name: &ScopeName,
        before: &Arrangement,
    ) -> Result<(), ServiceError> {
        let snapshot = |arrangement: &Arrangement| {
            let entry = arrangement.entry(name).ok()?;
            serde_json::to_value(entry).ok()
        };
        let mut after = snapshot(&self.scopes);
        if !self.pinned.is_empty() {
            after.get_or_insert_with(|| serde_json::json!({}))["grants_pinned"] =
                self.pinned.clone().into();
        }
        let change = Change {
            workspace: None,
            action,
            subject_id: Some(self.audience.id.0),
            subject_name: &format!("{} {name}", self.audience.slug),
            before: snapshot(before),
            after,
        };
        record(connection, ctx, change).await
    }
}

/// Parses a value of a request, or records the mistake under its field.
pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    errors: &mut Vec<FieldError>,
    field: &str,
    text: &str,
) -> Option<T> {
    text.parse().map_err(|error| errors.push(FieldError::new(field, error))).ok()
}

/// Parses an optional value of a request, or records the mistake under its field.
pub(super) fn parse_some<T: std::str::FromStr<Err: std::fmt::Display>>(
    errors: &mut Vec<FieldError>,
    field: &str,
    text: Option<&str>,
) -> Option<T> {
    text.and_then(|text| parse(errors, field, text))
}

/// Parses names of scopes, and records each one that is invalid.
pub(super) fn parse_names(
    errors: &mut Vec<FieldError>,
    field: &str,
    texts: &[String],
) -> Vec<ScopeName> {
    let mut names: Vec<ScopeName> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match parse::<ScopeName>(errors, &format!("{field}[{index}]"), text) {
            Some(name) if !names.contains(&name) => names.push(name),
            _ => {}
        }
    }
    names
}
