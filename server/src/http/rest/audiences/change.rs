//! `PATCH /api/v1/audiences/{slug}`

use authority::AudienceChange;
use axum::extract::State;
use domain::names::AudienceSlug;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{errors::ChangeErrors, schema::AudienceBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AudienceChange, example = json!({"name": "Billing API"}))]
pub(crate) struct AudienceChangeBody {
    /// Its display name: 1 to 100 characters on one line.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// What the API does: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    description: Option<String>,
}

/// Change an audience
///
/// Changes its display name and its description. Only for administrators of the instance.
#[utoipa::path(
    patch,
    path = "/api/v1/audiences/{slug}",
    operation_id = "changeAudience",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "default"),
        IfMatchHeader,
    ),
    request_body = AudienceChangeBody,
    responses(
        (status = 200, description = "The audience after the change", body = AudienceBody,
            headers(("ETag" = String, description = "Its version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_audience(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(slug): ApiPath<AudienceSlug>,
    IfMatch(expected): IfMatch,
    ApiJson(AudienceChangeBody { name, description }): ApiJson<AudienceChangeBody>,
) -> Result<Tagged<AudienceBody>, ApiError> {
    let change = AudienceChange { name, description };
    let catalogues = state.authority.catalogues();
    let audience = catalogues.change_audience(&context, &slug, change, expected).await?;
    Ok(Tagged { version: audience.version, body: audience.into() })
}
