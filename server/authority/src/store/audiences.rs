//! Audience rows, without their scopes.

use domain::{
    ids::AudienceId,
    names::{AudienceSlug, Description, DisplayName},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// An audience without its scopes.
#[derive(Clone, Debug)]
pub(crate) struct StoredAudience {
    pub(crate) id: AudienceId,
    pub(crate) slug: AudienceSlug,
    pub(crate) name: DisplayName,
    pub(crate) description: Description,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

struct AudienceRow {
    id: Uuid,
    slug: String,
    name: String,
    description: String,
    version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<AudienceRow> for StoredAudience {
    type Error = StoreError;

    fn try_from(row: AudienceRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::corrupt(column, row.id);
        Ok(Self {
            id: row.id.into(),
            slug: row.slug.parse().map_err(|_| corrupt("audiences.slug"))?,
            name: row.name.parse().map_err(|_| corrupt("audiences.name"))?,
            description: row.description.parse().map_err(|_| corrupt("audiences.description"))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Returns all audiences: `default` first and `tessera` last, the others by name.
pub(crate) async fn audiences(
    connection: &mut PgConnection,
) -> Result<Vec<StoredAudience>, StoreError> {
    sqlx::query_as!(
        AudienceRow,
        "SELECT id, slug, name, description, version, created_at, updated_at FROM audiences
          ORDER BY (slug = 'default') DESC, (slug = 'tessera'), lower(name), slug"
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Returns the audience with this slug.
pub(crate) async fn audience(
    connection: &mut PgConnection,
    slug: &AudienceSlug,
) -> Result<Option<StoredAudience>, StoreError> {
    sqlx::query_as!(
        AudienceRow,
        "SELECT id, slug, name, description, version, created_at, updated_at
           FROM audiences WHERE slug = $1",
        slug.as_ref(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Returns the audience with this slug and locks it until the transaction ends, so that changes of
/// one audience run one after another.
pub(crate) async fn lock_audience(
    connection: &mut PgConnection,
    slug: &AudienceSlug,
) -> Result<Option<StoredAudience>, StoreError> {
    sqlx::query_as!(
        AudienceRow,
        "SELECT id, slug, name, description, version, created_at, updated_at
           FROM audiences WHERE slug = $1 FOR NO KEY UPDATE",
        slug.as_ref(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Inserts an audience without scopes. Returns `false` if the slug is taken.
pub(crate) async fn insert_audience(
    connection: &mut PgConnection,
    audience: &StoredAudience,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "INSERT INTO audiences (id, slug, name, description, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (slug) DO NOTHING",
        audience.id.0,
        audience.slug.as_ref(),
        audience.name.as_ref(),
        audience.description.as_ref(),
        audience.version,
        audience.created_at,
        audience.updated_at,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Updates an audience's name, description, version and time of change.
pub(crate) async fn update_audience(
    connection: &mut PgConnection,
    audience: &StoredAudience,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE audiences SET name = $2, description = $3, version = $4, updated_at = $5 WHERE id = $1",
        audience.id.0,
        audience.name.as_ref(),
        audience.description.as_ref(),
        audience.version,
        audience.updated_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes an audience and its scopes. Every token of the audience must be deleted already; deleted
/// tokens lose their reference to it.
pub(crate) async fn delete_audience(
    connection: &mut PgConnection,
    audience: AudienceId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM token_audiences ta USING tokens t
          WHERE ta.audience_id = $1 AND t.id = ta.token_id AND t.deleted_at IS NOT NULL",
        audience.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM scopes WHERE audience_id = $1", audience.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM audiences WHERE id = $1", audience.0).execute(connection).await?;
    Ok(())
}
