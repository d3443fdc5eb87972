//! `POST /api/v1/audiences/{slug}/scopes/{name}/unretire`

use axum::extract::State;
use domain::{catalogue::ScopeName, names::AudienceSlug};

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, IfMatch, IfMatchHeader},
        rest::{errors::RemoveErrors, schema::ScopeEntryBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// Bring a retired scope back into use
///
/// Tokens that hold it regain it immediately. Takes no body. Only for administrators of the
/// instance.
#[utoipa::path(
    post,
    path = "/api/v1/audiences/{slug}/scopes/{name}/unretire",
    operation_id = "unretireScope",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "default"),
        ("name" = String, Path, description = "The scope's name, percent-encoded: `table%3A%2F%2Fmy.app.**`", example = "rivers:run"),
        IfMatchHeader,
    ),
    responses(
        (status = 200, description = "The scope after the change", body = ScopeEntryBody,
            headers(("ETag" = String, description = "The audience's version"))),
        RemoveErrors,
    ),
)]
pub(crate) async fn unretire_scope(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((slug, name)): ApiPath<(AudienceSlug, ScopeName)>,
    IfMatch(expected): IfMatch,
) -> Result<Tagged<ScopeEntryBody>, ApiError> {
    let catalogues = state.authority.catalogues();
    let (scope, version) = catalogues.unretire_scope(&context, &slug, &name, expected).await?;
    Ok(Tagged { version, body: scope.into() })
}
