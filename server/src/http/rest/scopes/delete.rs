//! `DELETE /api/v1/audiences/{slug}/scopes/{name}`

use axum::extract::State;
use domain::{catalogue::ScopeName, names::AudienceSlug};
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

/// Delete a scope
///
/// Refused with 409 `in_use` while a token holds the scope or a part of its pattern, or another
/// scope implies it. Retire it instead. Only for administrators of the instance.
#[utoipa::path(
    delete,
    path = "/api/v1/audiences/{slug}/scopes/{name}",
    operation_id = "deleteScope",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "default"),
        ("name" = String, Path, description = "The scope's name, percent-encoded: `table%3A%2F%2Fmy.app.**`", example = "rivers:run"),
        IfMatchHeader,
    ),
    responses((status = 204, description = "The scope was deleted"), RemoveErrors),
)]
pub(crate) async fn delete_scope(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((slug, name)): ApiPath<(AudienceSlug, ScopeName)>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    state.authority.catalogues().delete_scope(&context, &slug, &name, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
