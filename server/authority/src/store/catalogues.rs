//! Audiences with their scopes.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    catalogue::{Catalogue, Risk, Scope, ScopeGroup, ScopeName},
    ids::AudienceId,
    names::{Description, DisplayName},
    scope_pattern::Steps,
};
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

pub(crate) use super::audiences::{
    StoredAudience, audience, audiences, delete_audience, insert_audience, lock_audience,
    update_audience,
};
use super::{StoreError, secrets::parse_all};

/// An audience with the scopes that its tokens can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredCatalogue {
    pub(crate) id: AudienceId,
    /// Its scopes, without the retired ones.
    pub(crate) catalogue: Catalogue,
    /// The names of its retired scopes.
    pub(crate) retired: Vec<ScopeName>,
}

impl StoredCatalogue {
    /// Returns whether a token of this audience can have this scope. Also returns `false` if the
    /// steps run out; many scopes share them.
    pub(crate) fn declares_within(&self, name: &ScopeName, steps: &mut Steps) -> bool {
        self.catalogue.declares_within(name, steps) && !self.retired.contains(name)
    }

    /// Returns whether the audience declares this scope, or declared it before retiring it.
    pub(crate) fn knows(&self, name: &ScopeName) -> bool {
        self.catalogue.declares(name) || self.retired.iter().any(|retired| retired.covers(name))
    }
}

/// A scope as it is stored. Its position is its place in the list of scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredScope {
    pub(crate) scope: Scope,
    pub(crate) group: DisplayName,
    pub(crate) group_description: Description,
    pub(crate) retired_at: Option<OffsetDateTime>,
}

struct ScopeRow {
    audience_id: Uuid,
    name: String,
    description: String,
    risk: String,
    implies: Vec<String>,
    group_name: String,
    group_description: String,
    retired_at: Option<OffsetDateTime>,
}

impl TryFrom<ScopeRow> for StoredScope {
    type Error = StoreError;

    fn try_from(row: ScopeRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::corrupt(column, &row.name);
        Ok(Self {
            scope: Scope {
                name: row.name.parse().map_err(|_| corrupt("scopes.name"))?,
                description: row.description.parse().map_err(|_| corrupt("scopes.description"))?,
                risk: parse_risk(&row.risk).ok_or_else(|| corrupt("scopes.risk"))?,
                implies: parse_all(&row.implies).ok_or_else(|| corrupt("scopes.implies"))?,
            },
            group: row.group_name.parse().map_err(|_| corrupt("scopes.group_name"))?,
            group_description: row
                .group_description
                .parse()
                .map_err(|_| corrupt("scopes.group_description"))?,
            retired_at: row.retired_at,
        })
    }
}

/// Returns all audiences with their scopes: `default` first and `tessera` last, the others by name.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<StoredCatalogue>, StoreError> {
    let audiences = audiences(&mut *connection).await?;
    let rows = sqlx::query_as!(
        ScopeRow,
        "SELECT audience_id, name, description, risk, implies, group_name, group_description, retired_at
           FROM scopes ORDER BY audience_id, position, name"
    )
    .fetch_all(connection)
    .await?;
    let mut scopes: BTreeMap<Uuid, Vec<StoredScope>> = BTreeMap::new();
    for row in rows {
        scopes.entry(row.audience_id).or_default().push(row.try_into()?);
    }
    let with_scopes = |audience: StoredAudience| {
        let scopes = scopes.remove(&audience.id.0).unwrap_or_default();
        StoredCatalogue::of(&audience, scopes)
    };
    Ok(audiences.into_iter().map(with_scopes).collect())
}

impl StoredCatalogue {
    /// Builds the catalogue of the active scopes. They do not imply retired ones.
    pub(crate) fn of(audience: &StoredAudience, scopes: Vec<StoredScope>) -> Self {
        let (retired, active): (Vec<_>, Vec<_>) =
            scopes.into_iter().partition(|stored| stored.retired_at.is_some());
        let retired: BTreeSet<ScopeName> =
            retired.into_iter().map(|stored| stored.scope.name).collect();
        let mut groups: Vec<ScopeGroup> = Vec::new();
        for mut stored in active {
            stored.scope.implies.retain(|name| !retired.contains(name));
            match groups.last_mut() {
                Some(group) if group.name == stored.group => group.scopes.push(stored.scope),
                _ => groups.push(ScopeGroup {
                    name: stored.group,
                    description: stored.group_description,
                    scopes: vec![stored.scope],
                }),
            }
        }
        Self {
            id: audience.id,
            catalogue: Catalogue {
                audience: audience.slug.clone(),
                name: audience.name.clone(),
                description: audience.description.clone(),
                groups,
            },
            retired: retired.into_iter().collect(),
        }
    }
}

/// Returns all scopes of an audience in their order, including the retired ones.
pub(crate) async fn scopes(
    connection: &mut PgConnection,
    audience: AudienceId,
) -> Result<Vec<StoredScope>, StoreError> {
    sqlx::query_as!(
        ScopeRow,
        "SELECT audience_id, name, description, risk, implies, group_name, group_description, retired_at
           FROM scopes WHERE audience_id = $1 ORDER BY position, name",
        audience.0,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Deletes scopes of an audience.
pub(crate) async fn delete_scopes(
    connection: &mut PgConnection,
    audience: AudienceId,
    scopes: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM scopes WHERE audience_id = $1 AND name = ANY($2)",
        audience.0,
        scopes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Inserts or updates scopes of an audience, in this order, each with all scopes that it implies.
pub(crate) async fn write_scopes(
    connection: &mut PgConnection,
    audience: AudienceId,
    scopes: &[(&StoredScope, Vec<&ScopeName>)],
) -> Result<(), StoreError> {
    let rows: Vec<Value> = scopes
        .iter()
        .enumerate()
        .map(|(position, (stored, implies_all))| {
            json!({
                "name": stored.scope.name,
                "description": stored.scope.description,
                "risk": risk_name(stored.scope.risk),
                "implies": stored.scope.implies,
                "implies_all": implies_all,
                "group_name": stored.group,
                "group_description": stored.group_description,
                "position": position,
                "retired_at": stored.retired_at.and_then(|moment| moment.format(&Rfc3339).ok()),
            })
        })
        .collect();
    sqlx::query!(
        "INSERT INTO scopes (audience_id, name, description, risk, implies, implies_all, group_name,
                             group_description, position, retired_at)
         SELECT $1, name, description, risk, implies, implies_all, group_name, group_description,
                position, retired_at
           FROM jsonb_to_recordset($2) AS written (
                name text, description text, risk text, implies text[], implies_all text[],
                group_name text, group_description text, position integer, retired_at timestamptz)
         ON CONFLICT (audience_id, name) DO UPDATE SET
            description = excluded.description, risk = excluded.risk, implies = excluded.implies,
            implies_all = excluded.implies_all, group_name = excluded.group_name,
            group_description = excluded.group_description, position = excluded.position,
            retired_at = excluded.retired_at",
        audience.0,
        Value::Array(rows),
    )
    .execute(connection)
    .await?;
    Ok(())
}

const fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Read => "read",
        Risk::Write => "write",
        Risk::Admin => "admin",
    }
}

fn parse_risk(text: &str) -> Option<Risk> {
    match text {
        "read" => Some(Risk::Read),
        "write" => Some(Risk::Write),
        "admin" => Some(Risk::Admin),
        _ => None,
    }
}
