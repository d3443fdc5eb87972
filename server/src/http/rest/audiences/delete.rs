//! `DELETE /api/v1/audiences/{slug}`

use axum::extract::State;
use domain::names::AudienceSlug;
use http::StatusCode;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, IfMatch, IfMatchHeader},
        rest::errors::RemoveErrors,
    },
    problem::ApiError,
    state::AppState,
};

/// Delete an audience
///
/// Refused with 409 `in_use` while a token is meant for the audience or one of its scopes is in
/// use. Only for administrators of the instance.
#[utoipa::path(
    delete,
    path = "/api/v1/audiences/{slug}",
    operation_id = "deleteAudience",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "billing"),
        IfMatchHeader,
    ),
    responses((status = 204, description = "The audience was deleted"), RemoveErrors),
)]
pub(crate) async fn delete_audience(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(slug): ApiPath<AudienceSlug>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    state.authority.catalogues().delete_audience(&context, &slug, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
