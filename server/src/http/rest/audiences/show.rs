//! `GET /api/v1/audiences/{slug}`

use axum::extract::State;
use domain::names::AudienceSlug;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::AudienceBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Show an audience
///
/// With its scopes that are not retired.
#[utoipa::path(
    get,
    path = "/api/v1/audiences/{slug}",
    operation_id = "showAudience",
    tag = "Audiences",
    params(("slug" = String, Path, description = "The audience's name in requests", example = "default")),
    responses(
        (status = 200, description = "The audience", body = AudienceBody,
            headers(("ETag" = String, description = "Its version"))),
        ReadErrors,
    ),
)]
pub(crate) async fn show_audience(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(slug): ApiPath<AudienceSlug>,
) -> Result<Tagged<AudienceBody>, ApiError> {
    let audience = state.authority.catalogues().show(&context, &slug).await?;
    Ok(Tagged { version: audience.version, body: audience.into() })
}
