//! `GET /api/v1/audiences/{slug}/scopes`

use axum::extract::State;
use domain::names::AudienceSlug;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{errors::ReadErrors, schema::ScopeListBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// List the scopes of an audience
///
/// In the order in which they are shown, including retired ones.
#[utoipa::path(
    get,
    path = "/api/v1/audiences/{slug}/scopes",
    operation_id = "listScopes",
    tag = "Audiences",
    params(("slug" = String, Path, description = "The audience's name in requests", example = "default")),
    responses(
        (status = 200, description = "The scopes", body = ScopeListBody,
            headers(("ETag" = String, description = "The audience's version"))),
        ReadErrors,
    ),
)]
pub(crate) async fn list_scopes(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(slug): ApiPath<AudienceSlug>,
) -> Result<Tagged<ScopeListBody>, ApiError> {
    let (scopes, version) = state.authority.catalogues().scopes(&context, &slug).await?;
    let items = scopes.into_iter().map(Into::into).collect();
    Ok(Tagged { version, body: ScopeListBody { items, next: None } })
}
