//! Audiences and their scopes.

use std::collections::BTreeMap;

use domain::{
    catalogue::{Catalogue, Risk, Scope, ScopeGroup, ScopeName},
    ids::AudienceId,
    names::AudienceSlug,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// An audience with its id.
#[derive(Clone, Debug)]
pub(crate) struct StoredCatalogue {
    pub(crate) id: AudienceId,
    pub(crate) catalogue: Catalogue,
}

/// Every audience with its scopes: `default` first and `tessera` last, the others by name.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<StoredCatalogue>, StoreError> {
    let audiences = sqlx::query!(
        "SELECT id, slug, name, description FROM audiences
          ORDER BY (slug = 'default') DESC, (slug = 'tessera'), lower(name), slug"
    )
    .fetch_all(&mut *connection)
    .await?;
    let rows = sqlx::query!(
        "SELECT audience_id, name, description, risk, implies, group_name, group_description
           FROM scopes ORDER BY audience_id, position, name"
    )
    .fetch_all(connection)
    .await?;
    let mut groups: BTreeMap<Uuid, Vec<ScopeGroup>> = BTreeMap::new();
    for row in rows {
        let corrupt = |column| StoreError::corrupt(column, &row.name);
        let scope = Scope {
            name: row.name.parse().map_err(|_| corrupt("scopes.name"))?,
            description: row.description.parse().map_err(|_| corrupt("scopes.description"))?,
            risk: parse_risk(&row.risk).ok_or_else(|| corrupt("scopes.risk"))?,
            implies: parse_names(&row.implies).ok_or_else(|| corrupt("scopes.implies"))?,
        };
        let groups = groups.entry(row.audience_id).or_default();
        match groups.last_mut() {
            Some(group) if group.name.as_ref() == row.group_name => group.scopes.push(scope),
            _ => groups.push(ScopeGroup {
                name: row.group_name.parse().map_err(|_| corrupt("scopes.group_name"))?,
                description: row
                    .group_description
                    .parse()
                    .map_err(|_| corrupt("scopes.group_description"))?,
                scopes: vec![scope],
            }),
        }
    }
    audiences
        .into_iter()
        .map(|row| {
            let corrupt = |column| StoreError::corrupt(column, row.id);
            Ok(StoredCatalogue {
                id: row.id.into(),
                catalogue: Catalogue {
                    audience: row.slug.parse().map_err(|_| corrupt("audiences.slug"))?,
                    name: row.name.parse().map_err(|_| corrupt("audiences.name"))?,
                    description: row
                        .description
                        .parse()
                        .map_err(|_| corrupt("audiences.description"))?,
                    groups: groups.remove(&row.id).unwrap_or_default(),
                },
            })
        })
        .collect()
}

/// Makes or renames an audience; locks its row until the transaction ends. Returns its id.
pub(crate) async fn upsert_audience(
    connection: &mut PgConnection,
    new_id: AudienceId,
    catalogue: &Catalogue,
    now: OffsetDateTime,
) -> Result<AudienceId, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO audiences (id, slug, name, description, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (slug) DO UPDATE SET name = excluded.name, description = excluded.description,
                                          updated_at = excluded.updated_at
         RETURNING id",
        new_id.0,
        catalogue.audience.as_ref(),
        catalogue.name.as_ref(),
        catalogue.description.as_ref(),
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(id.into())
}

/// Tokens that hold any of these scopes of an audience and were not deleted, by scope.
pub(crate) async fn holders(
    connection: &mut PgConnection,
    audience: AudienceId,
    scopes: &[String],
) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT held AS "held!", count(*) AS "holders!"
             FROM token_audiences ta
             JOIN tokens t ON t.id = ta.token_id AND t.deleted_at IS NULL
             CROSS JOIN LATERAL unnest(t.scopes) AS held
            WHERE ta.audience_id = $1 AND held = ANY($2)
            GROUP BY held ORDER BY held"#,
        audience.0,
        scopes,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.held, row.holders)).collect())
}

/// Removes scopes of an audience.
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

/// Makes or changes a scope.
pub(crate) async fn upsert_scope(
    connection: &mut PgConnection,
    audience: AudienceId,
    catalogue: &Catalogue,
    group: &ScopeGroup,
    scope: &Scope,
    position: i32,
) -> Result<(), StoreError> {
    let implies: Vec<String> = scope.implies.iter().map(ToString::to_string).collect();
    let implies_all: Vec<String> = catalogue
        .closure([&scope.name])
        .into_iter()
        .filter(|name| **name != scope.name)
        .map(ToString::to_string)
        .collect();
    sqlx::query!(
        "INSERT INTO scopes (audience_id, name, description, risk, implies, implies_all, group_name,
                             group_description, position)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (audience_id, name) DO UPDATE SET
            description = excluded.description, risk = excluded.risk, implies = excluded.implies,
            implies_all = excluded.implies_all, group_name = excluded.group_name,
            group_description = excluded.group_description, position = excluded.position",
        audience.0,
        scope.name.as_ref(),
        scope.description.as_ref(),
        risk_name(scope.risk),
        &implies,
        &implies_all,
        group.name.as_ref(),
        group.description.as_ref(),
        position,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The stored catalogue of an audience, if there is one.
pub(crate) async fn by_slug(
    connection: &mut PgConnection,
    slug: &AudienceSlug,
) -> Result<Option<StoredCatalogue>, StoreError> {
    Ok(all(connection).await?.into_iter().find(|stored| stored.catalogue.audience == *slug))
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

fn parse_names(texts: &[String]) -> Option<Vec<ScopeName>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}
